import { Duplex } from 'node:stream';

import type { ConnectionOptions } from '../../lib/options/options';

/** A link whose every move the test makes. It behaves as a socket does, with the network left out. */
export class ScriptedLink extends Duplex {
  connecting = true;
  readonly signal: AbortSignal;
  readonly written: string[] = [];
  /** While set, writes are taken and not confirmed. */
  stalled = false;
  referenced = true;
  #pending: (() => void)[] = [];

  constructor(signal: AbortSignal) {
    super({ allowHalfOpen: false });
    this.signal = signal;
  }

  /** The dial succeeds. */
  connect(): this {
    this.connecting = false;
    this.emit('connect');
    return this;
  }

  /** The peer sends. */
  receive(text: string): void {
    this.push(text);
  }

  /** The peer ends the session in good order. */
  finish(): void {
    this.push(null);
  }

  /** The dial or the session fails. */
  fail(code = 'ECONNRESET'): void {
    this.destroy(Object.assign(new Error(`scripted ${code}`), { code }));
  }

  /** Confirms what was written while stalled. */
  unstall(): void {
    this.stalled = false;
    const pending = this.#pending;
    this.#pending = [];
    for (const confirm of pending) confirm();
  }

  ref(): this {
    this.referenced = true;
    return this;
  }

  unref(): this {
    this.referenced = false;
    return this;
  }

  override _read(): void {
    // Whatever the script pushes.
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.written.push(chunk.toString());
    if (this.stalled) this.#pending.push(callback);
    else callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    callback();
  }
}

/** A `dial` that hands out scripted links and keeps them for the test. */
export class ScriptedDial {
  readonly links: ScriptedLink[] = [];
  readonly dial: NonNullable<ConnectionOptions['dial']> = (_target, signal) => {
    const link = new ScriptedLink(signal);
    this.links.push(link);
    return link;
  };

  /** The link of the latest attempt. */
  get last(): ScriptedLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('Nothing was dialled yet');
    return link;
  }
}

/** Lets every callback run that is due without the clock: ticks, microtasks, immediates and the close of streams. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Timers by the test's clock; ticks, microtasks and immediates are real, so that streams and sockets go on. */
export function useFakeClock(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] });
}

/** Moves the test's clock, and lets everything run that follows. */
export async function pass(milliseconds: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(milliseconds);
  await settle();
}
