import type { ConnectionEvents, ConnectionPool, PoolEvents, ReconnectingConnection } from 'reconnecting-connection';

import { type Checks, checkRecord, func, interval, oneOf } from '../options/checks';
import { invalidOption } from '../errors';
import { DEADLINE, clearTimer, now, setTimer } from './clock';
import { type Heard, timeline } from './timeline';

/** Any map of events. */
export type Listeners = Readonly<Record<string, (...args: never) => void>>;

/** What an event tells. */
export type Args<Events extends Listeners, E extends keyof Events> = Parameters<Events[E]>;

/** What a recorder has heard: one of its events. */
export type Recorded<Events extends Listeners> = {
  readonly [E in keyof Events & string]: Heard<E, Args<Events, E>>;
}[keyof Events & string];

/** How {@link Recorder.next} waits. */
export interface NextOptions<Args extends readonly unknown[] = readonly unknown[]> {
  /** Which of the events of that name is meant. Default: any. */
  readonly where?: ((...args: Args) => boolean) | undefined;
  /** Milliseconds to wait at the most, by the real clock. Default: 5000. */
  readonly deadline?: number | undefined;
}

/** Every event of a connection, and so of a pool: leaving one out does not compile. */
const EVENTS = Object.keys({
  open: true,
  data: true,
  message: true,
  reset: true,
  backoff: true,
  drain: true,
  drop: true,
  state: true,
  close: true,
} satisfies Record<keyof ConnectionEvents, true>) as (keyof ConnectionEvents)[]; // `as`: the keys just written.

const nextChecks: Checks<NextOptions> = { where: func, deadline: interval };

/** The part of an emitter that is listened to. */
interface Source {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** One who waits for an event. */
interface Waiter {
  readonly wants: (heard: Heard) => boolean;
  readonly settle: (heard: Heard) => void;
}

/**
 * Writes down every event of a connection or a pool, in the order in which they are told. Make it with
 * `record`.
 *
 * @typeParam Events - The events of what is recorded: `ConnectionEvents` or `PoolEvents`.
 */
export class Recorder<Events extends Listeners> {
  readonly #source: Source;
  readonly #began = now();
  readonly #heard: Heard[] = [];
  readonly #listeners: readonly (readonly [event: string, listener: (...args: unknown[]) => void])[];
  #waiters: Waiter[] = [];
  /** How many events `next` has taken or passed over. */
  #taken = 0;

  /** @internal Others call `record`, which knows the events by the type of what is recorded. */
  constructor(source: Source) {
    this.#source = source;
    this.#listeners = EVENTS.map((event) => [event, (...args) => this.#hear(event, args)] as const);
    for (const [event, listener] of this.#listeners) source.on(event, listener);
  }

  /** Everything that was heard. */
  get events(): readonly Recorded<Events>[] {
    // `as`: what is emitted under a name has the arguments that the map gives for it.
    return [...this.#heard] as unknown as Recorded<Events>[];
  }

  /** The names of what was heard, for when the order is the question. */
  get names(): readonly (keyof Events & string)[] {
    return this.#heard.map(({ event }) => event);
  }

  /** The first arguments of all events of one name: the payloads of every `backoff`, say. */
  payloads<E extends keyof Events & string>(event: E): readonly Args<Events, E>[0][] {
    checkEvent(event);
    const found = this.#heard.filter((heard) => heard.event === event);
    return found.map(({ args }) => (args as Args<Events, E>)[0] as Args<Events, E>[0]); // `as`: see `events`.
  }

  /**
   * The arguments of the next event of that name, as `events.once` would give them. Next is what comes after the event
   * that was returned last, whether it was heard already or not: so nothing is missed between two calls, and calls one
   * after the other assert an order.
   *
   * @returns rejects with an Error that shows the whole timeline when there is none by the deadline
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  next<E extends keyof Events & string>(
    event: E,
    options: NextOptions<Args<Events, E>> = {},
  ): Promise<Args<Events, E>> {
    checkEvent(event);
    const { where, deadline = DEADLINE } = checkRecord<NextOptions>('', options, nextChecks);
    const wants = (heard: Heard) => heard.event === event && (where === undefined || where(...heard.args));
    return new Promise((resolve, reject) => {
      const index = this.#heard.findIndex((heard, position) => position >= this.#taken && wants(heard));
      if (index !== -1) {
        this.#taken = index + 1;
        resolve(this.#heard[index]!.args as Args<Events, E>); // `as`: see `events`.
        return;
      }
      const waiter: Waiter = {
        wants,
        settle: (heard) => {
          clearTimer(timer);
          resolve(heard.args as Args<Events, E>); // `as`: see `events`.
        },
      };
      const timer = setTimer(() => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
        reject(new Error(`No \`${event}\` within ${deadline} ms. What was heard:\n${this.timeline()}`));
      }, deadline);
      this.#waiters.push(waiter);
    });
  }

  /** All that was heard as text, an event a line: when (in milliseconds since the recorder began), what, with what. */
  timeline(): string {
    return timeline(this.#heard);
  }

  /** Listens no more. What was heard stays. */
  close(): void {
    for (const [event, listener] of this.#listeners) this.#source.off(event, listener);
  }

  /** `using`: {@link Recorder.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #hear(event: string, args: readonly unknown[]): void {
    const heard = { event, args, at: now() - this.#began };
    this.#heard.push(heard);
    const satisfied = this.#waiters.filter(({ wants }) => wants(heard));
    if (satisfied.length === 0) return;
    this.#taken = this.#heard.length;
    this.#waiters = this.#waiters.filter((waiter) => !satisfied.includes(waiter));
    for (const { settle } of satisfied) settle(heard);
  }
}

/**
 * Starts to write down the events of a connection or a pool. Made in the tick in which the connection is made, it
 * misses none.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION` for what is neither
 */
export function record<Message>(source: ReconnectingConnection<Message>): Recorder<ConnectionEvents<Message>>;
/** The same for a pool: each event comes with the tag of its member, and the member. */
export function record<Message>(source: ConnectionPool<Message>): Recorder<PoolEvents<Message>>;
export function record(source: object): object {
  // By its members: it may come from another realm, as test runners have them.
  const given = source as Partial<Source & { disconnect: unknown }> | null | undefined;
  if (typeof given?.on !== 'function' || typeof given.off !== 'function' || typeof given.disconnect !== 'function') {
    throw invalidOption('what is recorded', 'a ReconnectingConnection or a ConnectionPool', source);
  }
  return new Recorder(given as Source); // `as`: it has both methods.
}

const checkEvent = (event: unknown): void => void oneOf(...EVENTS)(event, 'the event');
