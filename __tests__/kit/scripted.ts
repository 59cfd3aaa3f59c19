import type { ConnectionOptions } from '../../lib/options/options';
import { ScriptedLink as PublishedLink } from '../../lib/testing/scripted-peer';

/** The published scripted link, whose other end the test plays. */
export class ScriptedLink extends PublishedLink {
  readonly signal: AbortSignal;
  readonly written: string[] = [];
  /** While set, writes are taken and not confirmed. */
  stalled = false;
  referenced = true;
  readonly #pending: (() => void)[] = [];

  constructor(signal: AbortSignal) {
    super(
      false,
      (chunk, taken) => this.#onWrite(chunk, taken),
      () => undefined,
    );
    this.signal = signal;
  }

  /** The lines that the peer has got. */
  get lines(): string[] {
    return this.written.join('').split('\n').filter(Boolean);
  }

  /** The dial succeeds. */
  connect(): this {
    this.open();
    return this;
  }

  /** The peer sends. */
  receive(text: string): void {
    this.deliver(text);
  }

  /** The dial or the session fails. */
  fail(code = 'ECONNRESET'): void {
    this.destroy(Object.assign(new Error(`scripted ${code}`), { code }));
  }

  /** Confirms what was written while stalled. */
  unstall(): void {
    this.stalled = false;
    for (const confirm of this.#pending.splice(0)) confirm();
  }

  override ref(): this {
    this.referenced = true;
    return this;
  }

  override unref(): this {
    this.referenced = false;
    return this;
  }

  #onWrite(chunk: Buffer, taken: () => void): void {
    this.written.push(chunk.toString());
    if (this.stalled) this.#pending.push(taken);
    else taken();
  }
}

/** A `dial` that returns scripted links and keeps them for the test. */
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

  /** Lets the wait of 10 ms before a dial pass, and the dial succeed. */
  async open(): Promise<void> {
    await pass(10);
    this.last.connect();
    await settle();
  }
}

/** Runs every callback that is due without the clock: ticks, microtasks, immediates and the close of streams. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Fakes timers only: ticks, microtasks and immediates stay real, so that streams and sockets work. */
export function useFakeClock(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] });
}

/** Moves the test's clock, and runs everything that follows. */
export async function pass(milliseconds: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(milliseconds);
  await settle();
}
