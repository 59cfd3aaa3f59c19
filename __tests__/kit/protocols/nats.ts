import type { CommonOptions, Handshake } from 'reconnecting-connection';

import { type Parse, decoderOf, read } from './frames';

// NATS: https://docs.nats.io/reference/reference-protocols/nats-protocol

/** What a side says: one line, and after some a body. */
export interface Line {
  readonly verb: string;
  readonly rest: string;
  readonly body?: string;
}

const parseLine: Parse<Line> = (bytes) => {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const [verb = '', ...words] = bytes.toString('utf8', 0, end).split(' ');
  const rest = words.join(' ');
  if (verb !== 'MSG') return [{ verb, rest }, end + 2];
  const stop = end + 2 + Number(words.at(-1));
  if (bytes.length < stop + 2) return undefined;
  return [{ verb, rest, body: bytes.toString('utf8', end + 2, stop) }, stop + 2];
};

/** Whether somebody has published it. */
export const isDelivered = ({ verb }: Line) => verb === 'MSG';

/** Hears who the server is, says who we are, and knows by the PONG that it was accepted. */
const greetNats =
  (token?: string): Handshake =>
  async (socket, { signal }) => {
    const info = await read(socket, parseLine, signal);
    if (info.verb !== 'INFO') throw new Error(`${info.verb} ${info.rest}`);
    const who = { verbose: false, pedantic: false, ...(token !== undefined && { auth_token: token }) };
    socket.write(`CONNECT ${JSON.stringify(who)}\r\nPING\r\n`);
    const line = await read(socket, parseLine, signal);
    if (line.verb !== 'PONG') throw new Error(`${line.verb} ${line.rest}`);
  };

/** The options of a client. */
export const speakNats = (token?: string): CommonOptions => ({
  handshake: greetNats(token),
  decoder: decoderOf(parseLine),
});
