import { Duplex } from 'node:stream';

import { track } from './clean-up';

/** The two ends of a stream in memory: what is written at one is read at the other, and an end that is read ends both. */
export function pair(): [Duplex, Duplex] {
  const one = new End();
  const other = new End();
  one.peer = other;
  other.peer = one;
  return [track(one), track(other)];
}

class End extends Duplex {
  peer!: End;
  #room: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: false });
  }

  override _read(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.peer.push(chunk)) process.nextTick(done);
    else this.peer.#room = done;
  }

  override _final(done: () => void): void {
    this.peer.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.peer.push(null);
    done(error);
  }
}
