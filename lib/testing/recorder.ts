import { inspect } from 'node:util';

import type { ConnectionEvents, ConnectionPool, PoolEvents, ReconnectingConnection } from 'reconnecting-connection';

import { type Checks, checkRecord, func, interval, oneOf } from '../options/checks';
import { invalidOption } from '../errors';
import { DEADLINE, Waiting, now } from './until';

/** Any map of events. */
export type Listeners = Readonly<Record<string, (...args: never) => void>>;

/** The arguments of an event. */
export type Args<Events extends Listeners, E extends keyof Events> = Parameters<Events[E]>;

/** An event that was recorded. */
export interface Heard<Event extends string = string, Args extends readonly unknown[] = readonly unknown[]> {
  /** Its name. */
  readonly event: Event;
  /** The arguments of its listeners. */
  readonly args: Args;
  /** Milliseconds since the recorder was made, by the real clock. */
  readonly at: number;
}

/** Any event of a recorder. */
export type Recorded<Events extends Listeners> = {
  readonly [E in keyof Events & string]: Heard<E, Args<Events, E>>;
}[keyof Events & string];

/** Options of {@link Recorder.next}. */
export interface NextOptions<Args extends readonly unknown[] = readonly unknown[]> {
  /** Which events of that name count. Default: all. */
  readonly where?: ((...args: Args) => boolean) | undefined;
  /** The longest wait in milliseconds, by the real clock. Default: 5000. */
  readonly deadline?: number | undefined;
}

/** All events of a connection and of a pool; a missing one does not compile. */
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
  eject: true,
  restore: true,
  source: true,
} satisfies Record<keyof PoolEvents, true>) as (keyof PoolEvents)[]; // `as`: the keys just written.

const nextChecks: Checks<NextOptions> = { where: func, deadline: interval };

/** The part of an emitter that is used. */
interface Source {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/**
 * Records every event of a connection or a pool, in order. `record` makes it.
 *
 * @typeParam Events - `ConnectionEvents` or `PoolEvents`.
 */
export class Recorder<Events extends Listeners> {
  readonly #source: Source;
  readonly #startedAt = now();
  readonly #heard: Heard[] = [];
  readonly #listeners: readonly (readonly [event: string, listener: (...args: unknown[]) => void])[];
  readonly #waiting = new Waiting();
  /** Number of events that `next` has returned or passed over. */
  #taken = 0;

  /** @internal */
  constructor(source: Source) {
    this.#source = source;
    this.#listeners = EVENTS.map((event) => [event, (...args) => this.#hear(event, args)] as const);
    for (const [event, listener] of this.#listeners) source.on(event, listener);
  }

  /** All events so far. */
  get events(): readonly Recorded<Events>[] {
    // `as`: what is emitted under a name has the arguments of that name.
    return [...this.#heard] as unknown as Recorded<Events>[];
  }

  /** The names of all events so far. */
  get names(): readonly (keyof Events & string)[] {
    return this.#heard.map(({ event }) => event);
  }

  /** The first arguments of all events of one name, such as the payloads of every `backoff`. */
  payloads<E extends keyof Events & string>(event: E): readonly Args<Events, E>[0][] {
    checkEvent(event);
    const found = this.#heard.filter((heard) => heard.event === event);
    return found.map(({ args }) => (args as Args<Events, E>)[0] as Args<Events, E>[0]); // `as`: see `events`.
  }

  /**
   * The arguments of the next event of that name after the one that was returned last, whether it was recorded before or is
   * yet to come. So no event is missed between two calls, and successive calls assert an order.
   *
   * @returns rejects with an Error that shows all events if the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  next<E extends keyof Events & string>(
    event: E,
    options: NextOptions<Args<Events, E>> = {},
  ): Promise<Args<Events, E>> {
    checkEvent(event);
    const { where, deadline = DEADLINE } = checkRecord<NextOptions>('', options, nextChecks);
    let position = this.#taken;
    const isFound = () => {
      while (position < this.#heard.length) {
        const heard = this.#heard[position++]!;
        if (heard.event !== event || (where !== undefined && !where(...heard.args))) continue;
        this.#taken = position;
        return true;
      }
      return false;
    };
    const error = () => new Error(`No \`${event}\` within ${deadline} ms. What was heard:\n${this.timeline()}`);
    const found = this.#waiting.wait(isFound, deadline, error);
    return found.then(() => this.#heard[position - 1]!.args as Args<Events, E>); // `as`: see `events`.
  }

  /** All events so far as text, one a line: milliseconds since the recorder was made, name, arguments. */
  timeline(): string {
    return this.#heard.map(({ event, args, at }) => `${at.toFixed(0).padStart(6)} ms  ${line(event, args)}`).join('\n');
  }

  /** Removes its listeners. What was recorded stays. */
  close(): void {
    for (const [event, listener] of this.#listeners) this.#source.off(event, listener);
  }

  /** `using`: {@link Recorder.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #hear(event: string, args: readonly unknown[]): void {
    // Its addresses can be read only while the session lasts.
    const copy = event === 'open' ? [{ ...(args[0] as object) }, ...args.slice(1)] : args; // `as`: the payload.
    this.#heard.push({ event, args: copy, at: now() - this.#startedAt });
    this.#waiting.changed();
  }
}

/**
 * Starts to record the events of a connection or a pool. Called in the tick in which the connection is made, it misses
 * none.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION` unless `source` is a connection or a pool
 */
export function record<Message>(source: ReconnectingConnection<Message>): Recorder<ConnectionEvents<Message>>;
/** The same for a pool: the tag and the member follow the arguments of each event. */
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

function line(event: string, args: readonly unknown[]): string {
  // The last arguments of a pool's event are the tag, which is shown first, and the member, which is left out.
  const member = args.findIndex((arg) => typeof arg === 'object' && arg !== null && 'disconnect' in arg);
  const [tag, payload] = member === -1 ? [[], args] : [[args[member - 1]], args.slice(0, member - 1)];
  const shown = event === 'state' ? `${String(payload[0])} (was ${String(payload[1])})` : payload.map(show).join(' ');
  return [event.padEnd(7), ...tag, shown].join(' ').trimEnd();
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return short(value);
  if (typeof value !== 'object' || value === null) return inspect(value);
  // `retryAt` follows from the time of the event and the delay.
  const fields = Object.entries(value).filter(([name, field]) => field !== undefined && name !== 'retryAt');
  return fields.map(([name, field]) => `${name}=${short(field)}`).join(' ');
}

function short(value: unknown): string {
  if (value instanceof Error) return 'code' in value ? String(value.code) : value.message;
  if (typeof value === 'number') return String(Math.round(value));
  if (!(value instanceof Uint8Array)) {
    return typeof value === 'string' ? value : inspect(value, { breakLength: Infinity, depth: 1 });
  }
  const start = JSON.stringify(Buffer.from(value.subarray(0, 40)).toString('latin1'));
  return `${value.length} bytes ${start}${value.length > 40 ? '…' : ''}`;
}
