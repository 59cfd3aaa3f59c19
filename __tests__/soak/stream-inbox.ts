import { Transform } from 'node:stream';

import type { ReconnectingConnection } from 'reconnecting-connection';

import { FrameReader } from '../conformance/frames';
import { FRAMES_A_CONNECTION } from './stream-peer';

/** The frames of the other end: each session hears one connection, from its first frame on, without a gap. */
export class Inbox {
  /** Frames received. */
  count = 0;
  readonly #fail: (problem: string) => void;
  /** The connections of the other end that were heard, and by which session. */
  readonly #heard = new Map<number, number>();
  #session = 0;
  #connection: number | undefined;
  #next = 0;
  #reader = new FrameReader();

  constructor(fail: (problem: string) => void) {
    this.#fail = fail;
  }

  /** Makes decoders whose messages are the numbers of frames. */
  readonly decoder = (): Transform => {
    const reader = new FrameReader();
    const read = (chunk: Buffer) => this.#read(reader, chunk);
    return new Transform({
      readableObjectMode: true,
      transform(chunk: Buffer, _encoding, done) {
        for (const number of read(chunk)) this.push(number);
        done();
      },
    });
  };

  listen(connection: ReconnectingConnection): void {
    connection.on('open', ({ generation }) => {
      this.#session = generation;
      this.#connection = undefined;
      this.#reader = new FrameReader();
    });
    connection.on('data', (chunk) => {
      for (const number of this.#read(this.#reader, chunk)) this.#take(number);
    });
    connection.on('message', (message) => this.#take(Number(message)));
  }

  #read(reader: FrameReader, chunk: Buffer): number[] {
    try {
      return reader.push(chunk);
    } catch (error) {
      this.#fail(`what session ${this.#session} receives is torn: ${String(error)}`);
      return [];
    }
  }

  #take(number: number): void {
    const connection = Math.floor(number / FRAMES_A_CONNECTION);
    const place = number % FRAMES_A_CONNECTION;
    if (this.#connection === undefined) {
      const before = this.#heard.get(connection);
      if (before !== undefined) this.#fail(`session ${this.#session} hears what session ${before} has heard`);
      this.#heard.set(connection, this.#session);
      this.#connection = connection;
      this.#next = 0;
    }
    if (connection !== this.#connection || place !== this.#next) {
      const expected = `${this.#next} of connection ${this.#connection}`;
      this.#fail(
        `session ${this.#session} received frame ${place} of connection ${connection}, instead of ${expected}`,
      );
    }
    this.#next = place + 1;
    this.count += 1;
  }
}
