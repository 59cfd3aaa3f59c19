import { crc32 } from 'node:zlib';

import type { DeliveryMessage } from './spool';

// A record is a line: the CRC-32 of what follows, a position, and a message as JSON (text) or Base64 (bytes). A line without
// a message says that all up to the position is acknowledged. What does not end with a line feed was cut off by a crash.
//
//   1c291ca3 41 "text"
//   d202ef8d 42 Ynl0ZXM=
//   83dcefb7 41

const LF = 10;
const SPACE = 32;
/** The fewest bytes of a line with a message. */
const SHORTEST = 12;

/** The lines of messages, from the position `first` on. */
export function encodeMessages(messages: readonly DeliveryMessage[], first: number): Buffer {
  const line = (message: DeliveryMessage, index: number) =>
    encode(`${first + index} ${typeof message === 'string' ? JSON.stringify(message) : base64(message)}`);
  return Buffer.from(messages.map(line).join(''));
}

/** The line of an acknowledgement. */
export function encodeAcknowledgement(position: number): Buffer {
  return Buffer.from(encode(String(position)));
}

function encode(body: string): string {
  return `${checksumOf(body)}${body}\n`;
}

function checksumOf(body: string | Buffer): string {
  return `${crc32(body).toString(16).padStart(8, '0')} `;
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** Puts together what the files of a spool hold, from the oldest to the latest. */
export class SpoolReading {
  /** The position of the next message. */
  next: number;
  /** The position of the oldest message that is not acknowledged. */
  first: number;
  /** Those before `next`, as they are in the files; undefined for one that is lost. */
  readonly #messages: (Buffer | undefined)[] = [];

  /** @param first - the position of the first message of the oldest file */
  constructor(first: number) {
    this.first = first;
    this.next = first;
  }

  /**
   * @param end - the position of the first message of the next file; undefined for the last file
   * @param tell - called for each part that is damaged, with 0 bytes where messages are missing and nothing is damaged
   * @returns the length of its lines: what follows in the last file has to be cut off
   */
  add(bytes: Buffer, end: number | undefined, tell: (offset: number, length: number) => void): number {
    /** Bytes that are damaged, since the last whole message. */
    let damaged = 0;
    const skipTo = (position: number, offset: number) => {
      if (position > this.next && damaged === 0) tell(offset, 0);
      for (; position > this.next; this.next++) this.#messages.push(undefined);
      damaged = 0;
    };
    let start = 0;
    for (let stop = bytes.indexOf(LF); stop !== -1; stop = bytes.indexOf(LF, start)) {
      const line = readLine(bytes.subarray(start, stop));
      if (line === undefined) tell(start, (damaged = stop + 1 - start));
      else if (line.message === undefined) this.first = Math.max(this.first, line.position + 1);
      else if (line.position >= this.next) {
        skipTo(line.position, start);
        this.#messages.push(line.message);
        this.next++;
      }
      start = stop + 1;
    }
    // Only the last file may end within a line, and not with one whose line feed has become another byte.
    const isCut = end === undefined && readLine(bytes.subarray(start, -1)) === undefined;
    if (!isCut && start < bytes.length) tell(start, (damaged = bytes.length - start));
    // How many messages were in what is damaged at the end is not known: no position may be used twice.
    skipTo(end ?? this.next + Math.floor(damaged / SHORTEST), bytes.length);
    this.next = Math.max(this.next, this.first);
    return start;
  }

  /** What is not acknowledged, from `first` to `next`; undefined for a message that is lost. */
  *messages(): Generator<DeliveryMessage | undefined> {
    const messages = this.#messages.slice(this.#messages.length - (this.next - this.first));
    for (const message of messages) yield message && decode(message);
  }
}

/** What a line says, without its line feed; undefined if it is damaged. */
function readLine(line: Buffer): { readonly position: number; readonly message: Buffer | undefined } | undefined {
  const body = line.subarray(9);
  if (body.length === 0 || line.toString('latin1', 0, 9) !== checksumOf(body)) return undefined;
  const space = body.indexOf(SPACE);
  if (space === -1) return { position: Number(body.toString()), message: undefined };
  return { position: Number(body.toString('latin1', 0, space)), message: body.subarray(space + 1) };
}

function decode(message: Buffer): DeliveryMessage {
  const text = message.toString();
  // `as`: it was made of a string.
  return text.startsWith('"') ? (JSON.parse(text) as string) : Buffer.from(text, 'base64');
}
