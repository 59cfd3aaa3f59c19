import type { CommonOptions, Handshake } from 'reconnecting-connection';

import { type Parse, decoderOf, read } from './frames';

// RELP, of rsyslog: https://github.com/rsyslog/librelp/blob/master/doc/relp.html

/** An answer, by the number of its command. */
export interface RelpAnswer {
  readonly number: number;
  readonly text: string;
}

/** `1 rsp 6 200 OK`, and a line feed. */
const parseAnswer: Parse<RelpAnswer> = (bytes) => {
  const [head, number, name, length] = /^(\d+) (\w+) (\d+)[ \n]/.exec(bytes.toString('latin1', 0, 40)) ?? [];
  if (head === undefined) return undefined;
  const end = head.length + Number(length);
  if (bytes.length < (length === '0' ? end : end + 1)) return undefined;
  const text = bytes.toString('utf8', head.length, end);
  if (name !== 'rsp' && name !== 'serverclose') throw new Error(`The server sent ${String(name)}`);
  return [{ number: Number(number), text }, length === '0' ? end : end + 1];
};

/** Offers what this client can do; numbers begin anew with each session. */
const greet: Handshake = async (socket, { signal }) => {
  const offers = 'relp_version=0\nrelp_software=test\ncommands=syslog';
  socket.write(`1 open ${offers.length} ${offers}\n`);
  const { text } = await read(socket, parseAnswer, signal);
  if (!text.startsWith('200 ')) throw new Error(text);
};

/** The options of a client. */
export const speakRelp: CommonOptions = { handshake: greet, decoder: decoderOf(parseAnswer) };

/** Numbers the messages of each session from 2 on, as the server demands: `open` has 1. */
export class RelpNumbers {
  #first: number | undefined;

  /** A session begins. */
  begin(): void {
    this.#first = undefined;
  }

  /** The frame of the message at a position; of the first one of the session, or of one that follows. */
  frame(position: number, message: string): string {
    this.#first ??= position;
    return `${position - this.#first + 2} syslog ${Buffer.byteLength(message)} ${message}\n`;
  }

  /** The position that an answer acknowledges; undefined for one that has another meaning. */
  positionOf({ number, text }: RelpAnswer): number | undefined {
    if (number === 0 || this.#first === undefined) return undefined;
    if (!text.startsWith('200 ')) throw new Error(text);
    return this.#first + number - 2;
  }
}
