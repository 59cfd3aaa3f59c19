import type { CommonOptions, Handshake, ReconnectingConnection } from 'reconnecting-connection';

import { type Parse, answer, decoderOf, read } from './frames';

// PostgreSQL: https://www.postgresql.org/docs/15/protocol.html

/** What the server says. */
export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

const parseMessage: Parse<Message> = (bytes) => {
  if (bytes.length < 5) return undefined;
  const end = 1 + bytes.readInt32BE(1);
  if (bytes.length < end) return undefined;
  return [{ type: String.fromCharCode(bytes[0]!), body: bytes.subarray(5, end) }, end];
};

/** The code and the words of an error. */
export const complaint = ({ body }: Message): string => {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((text) => [text.charAt(0), text.slice(1)]),
  );
  return `${fields.get('C')}: ${fields.get('M')}`;
};

const sized = (head: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(head), length, body]);
};

const greetPostgres: Handshake = async (socket, { signal }) => {
  const version = Buffer.from([0, 3, 0, 0]);
  socket.write(sized('', Buffer.concat([version, Buffer.from('user\0postgres\0database\0postgres\0\0')])));
  let trusted = false;
  for (;;) {
    const message = await read(socket, parseMessage, signal);
    if (message.type === 'E') throw new Error(complaint(message));
    if (message.type === 'R') trusted = message.body.readInt32BE(0) === 0;
    if (message.type !== 'Z') continue;
    if (!trusted) throw new Error('Ready without AuthenticationOk');
    return;
  }
};

/** The options of a client. */
export const speakPostgres: CommonOptions = { handshake: greetPostgres, decoder: decoderOf(parseMessage) };

/** A message that has the server run a statement. */
export const query = (text: string): Buffer => sized('Q', Buffer.from(`${text}\0`));

/** The one value that a query gives. */
export async function select(connection: ReconnectingConnection<Message>, text: string): Promise<string> {
  const row = await answer(connection, query(text), ({ type }) => type === 'D');
  // A count of columns and the length of the first come before it.
  return row.body.toString('utf8', 6);
}
