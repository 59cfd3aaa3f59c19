import type { CommonOptions, Handshake, ReconnectingConnection } from 'reconnecting-connection';

import { type Parse, answer, decoderOf, read } from './frames';

// Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/

/** A refusal, as a server words it. */
interface Refused {
  readonly refused: string;
}

/** What it replies to a command, or says unasked. */
export type Reply = string | number | null | Refused | readonly Reply[];

const parseReply: Parse<Reply> = (bytes) => {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const type = String.fromCharCode(bytes[0]!);
  const head = bytes.toString('latin1', 1, end);
  let length = end + 2;
  switch (type) {
    case '+':
      return [head, length];
    case '-':
      return [{ refused: head }, length];
    case ':':
      return [Number(head), length];
    case '_':
      return [null, length];
    case '$':
    case '=': {
      const stop = length + Number(head);
      // A text that is meant for people begins with the name of its format.
      const start = type === '$' ? length : length + 'txt:'.length;
      return bytes.length < stop + 2 ? undefined : [bytes.toString('utf8', start, stop), stop + 2];
    }
    case '*':
    case '>':
    case '%': {
      const items: Reply[] = [];
      const count = type === '%' ? 2 * Number(head) : Number(head);
      while (items.length < count) {
        const found = parseReply(bytes.subarray(length));
        if (found === undefined) return undefined;
        items.push(found[0]);
        length += found[1];
      }
      return [items, length];
    }
    default:
      throw new Error(`Redis sent a type that was not expected: ${type}`);
  }
};

const isRefused = (reply: Reply): reply is Refused => typeof reply === 'object' && reply !== null && 'refused' in reply;

/** Says who we are, and asks for the third version of the protocol, in which messages may come between replies. */
const greetRedis =
  (password?: string): Handshake =>
  async (socket, { signal }) => {
    for (const command of [...(password === undefined ? [] : [`AUTH ${password}`]), 'HELLO 3', 'PING']) {
      socket.write(`${command}\r\n`);
      const reply = await read(socket, parseReply, signal);
      if (isRefused(reply)) throw new Error(reply.refused);
    }
  };

/** The options of a client. */
export const speakRedis = (password?: string): CommonOptions => ({
  handshake: greetRedis(password),
  decoder: decoderOf(parseReply),
});

/** What Redis replies to one command, while no other is under way. */
export const ask = (connection: ReconnectingConnection<Reply>, command: string) =>
  answer(connection, `${command}\r\n`, () => true);

/** What a client says to see that it is served. */
export const redisScene = {
  exchange: (connection: ReconnectingConnection) => answer(connection, 'ECHO hello\r\n', (reply) => reply !== 'PONG'),
  answer: 'hello',
  ping: 'PING\r\n',
};
