import { strict as assert } from 'node:assert';
import type { Socket } from 'node:net';

import { ReconnectingConnection } from 'reconnecting-connection';

import { track } from '../kit/clean-up';
import { QUICK } from '../kit/connections';
import { Loopback, type LoopbackOptions } from '../kit/server';
import type { Adapter, Client, ClientEvents, ClientOptions, Feature } from './adapter';

/** One case: a sentence of what must hold, and the experiment that shows it. */
export interface Case {
  /** Its number, `C1` to `C145`, or a name for one of this library alone. */
  readonly id: `C${number}` | `states-${string}`;
  readonly title: string;
  /** What a library must have to be asked at all. */
  readonly needs?: readonly Feature[];
  /** Milliseconds after which it has failed. Default: 30,000. */
  readonly limit?: number;
  /** That the process ends by itself afterwards is part of the case, and so asked of every library. It always is of ours. */
  readonly exits?: boolean;
  /** Runs in a private network namespace, so that kernel faults stay there. */
  readonly inNamespace?: boolean;
  /** The only system that has what it is about. */
  readonly platform?: 'linux';
  readonly run: (lab: Lab) => Promise<void>;
}

/** An event as a subject heard it. */
export interface Heard {
  readonly event: keyof ClientEvents;
  /** On the clock of `performance.now()`. */
  readonly at: number;
  readonly value: unknown;
}

/** Cycles of the cases that go through very many. `npm test` asks for fewer. */
export const CYCLES = Number(process.env['CONFORMANCE_CYCLES'] ?? 100_000);

/** Milliseconds for waits without a bound of their own: some libraries wait for seconds between attempts. */
export const PATIENCE = 12_000;

/** Rejects with a message that names `what` when `promise` takes longer. */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  milliseconds = PATIENCE,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const sought = typeof what === 'string' ? what : what();
      reject(new assert.AssertionError({ message: `not within ${milliseconds} ms: ${sought}` }));
    }, milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for a span in which nothing may happen. */
export function quiet(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A client, and all that was heard of it. */
export class Subject {
  readonly client: Client;
  readonly heard: Heard[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(client: Client) {
    this.client = client;
    for (const event of ['open', 'data', 'reset', 'backoff', 'close'] as const) {
      client.on(event, (value?: unknown) => {
        this.heard.push({ event, at: performance.now(), value });
        for (const wake of this.#waiting) wake();
      });
    }
  }

  /** The names of what was heard, in order; or of those events only. */
  names(...events: readonly (keyof ClientEvents)[]): string[] {
    const names = this.heard.map(({ event }) => event);
    return events.length === 0 ? names : names.filter((name) => events.includes(name));
  }

  /** How often `event` was heard. */
  count(event: keyof ClientEvents): number {
    return this.names(event).length;
  }

  /** The bytes that were heard. */
  get received(): Buffer {
    return Buffer.concat(this.heard.flatMap(({ event, value }) => (event === 'data' ? [value as Buffer] : [])));
  }

  /** Waits until `holds`, asked again at every event. */
  async until(what: string, holds: () => boolean, milliseconds = PATIENCE): Promise<void> {
    let wake = () => {};
    const reached = new Promise<void>((resolve) => {
      wake = () => {
        if (holds()) resolve();
      };
    });
    this.#waiting.add(wake);
    wake();
    await within(reached, () => `${what} (heard: ${this.names().join(', ') || 'nothing'})`, milliseconds);
    this.#waiting.delete(wake);
  }

  /** Waits until `event` was emitted so often. */
  async waitFor(event: keyof ClientEvents, times = 1, milliseconds = PATIENCE): Promise<void> {
    await this.until(`${event} × ${times}`, () => this.count(event) >= times, milliseconds);
  }
}

/** Makes the servers and clients of a case, and destroys them afterwards. */
export class Lab {
  readonly adapter: Adapter;
  /** Uncaught exceptions and rejections, in a case that `expectsFaults`. */
  readonly surfaced: unknown[] = [];
  /** Whether faults of listeners are part of the experiment. Otherwise, one that surfaces ends it. */
  expectsFaults = false;

  constructor(adapter: Adapter) {
    this.adapter = adapter;
  }

  /** Whether the library under test has it. */
  has(feature: Feature): boolean {
    return this.adapter.features.has(feature);
  }

  /** A client of the library under test, with listeners from its first tick, and short delays where it has such options. */
  create(options: ClientOptions): Subject {
    const client = this.adapter.create({ ...QUICK, ...options });
    track({ destroy: () => within(client.disconnect(), 'disconnect() after the case', 5_000) });
    return new Subject(client);
  }

  /** A connection of this library, for cases that need `'own'`. */
  own<Message = unknown>(options: ClientOptions): ReconnectingConnection<Message> {
    assert(this.has('own'), 'the case must need "own"');
    return track(new ReconnectingConnection<Message>({ ...QUICK, ...options }));
  }

  /** A server that speaks the protocol of the library under test, where it has one. */
  async serve(options: LoopbackOptions = {}): Promise<Loopback> {
    const onSession = (socket: Socket, number: number) => {
      this.adapter.serve?.(socket);
      options.onSession?.(socket, number);
    };
    return Loopback.start({ ...options, onSession });
  }
}
