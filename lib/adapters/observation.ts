import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import type {
  ChannelEvent,
  ChannelMessage,
  ConnectionPool,
  PoolEvents,
  ReconnectingConnection,
  StateName,
} from 'reconnecting-connection';

import { checkObject } from '../options/checks';
import { invalidOption } from '../errors';
import type { CounterName, HistogramName } from './instruments';

/** What is observed: a connection, a pool with all its members, or every connection of the process. */
export type MetricsSource<Message = unknown> = ReconnectingConnection<Message> | ConnectionPool<Message> | 'all';

/** Why something was counted. */
export interface Cause {
  readonly reason: string;
  readonly error?: Error;
}

/** Where figures go. */
export interface Sink {
  add(counter: CounterName, amount: number, tag: string, cause?: Cause): void;
  /** @param seconds - What lasted so long. */
  record(histogram: HistogramName, seconds: number, tag: string): void;
}

/** A connection as it is now. */
export interface Sample {
  readonly tag: string;
  readonly state: StateName;
  readonly pendingBytes: number;
}

type Listeners = Pick<PoolEvents, ChannelEvent>;

const EVENTS: readonly ChannelEvent[] = ['open', 'reset', 'backoff', 'drop', 'close'];

/** Figures that a connection adds up by itself. */
const FIGURES = ['dials', 'failures', 'received', 'sent'] as const;

type Figures = Readonly<Record<(typeof FIGURES)[number], number>>;

const NONE: Figures = { dials: 0, failures: 0, received: 0, sent: 0 };

/** Turns the events and the figures of a source into calls of a sink. */
export class Observation {
  readonly #source: Exclude<MetricsSource, 'all'> | undefined;
  readonly #sink: Sink;
  /** Of `'all'`: the connections that were heard of and have not closed. */
  readonly #live = new Set<ReconnectingConnection>();
  /** What the sink has been told of each. */
  readonly #told = new WeakMap<ReconnectingConnection, Figures>();
  readonly #stop: () => void;

  constructor(source: MetricsSource, sink: Sink) {
    this.#source = source === 'all' ? undefined : source;
    this.#sink = sink;
    // What was before is not counted.
    for (const connection of this.#connections) this.#told.set(connection, figuresOf(connection));
    this.#stop = this.#source === undefined ? this.#subscribe() : this.#listen(this.#source);
  }

  /** Each connection as it is now. */
  get samples(): Sample[] {
    return this.#connections.map(({ tag, state, pendingBytes }) => ({ tag, state, pendingBytes }));
  }

  /** Members that are held at the gate of a pool; undefined for what is no pool. */
  get waiting(): number | undefined {
    return this.#source !== undefined && 'connections' in this.#source ? this.#source.stats.waiting : undefined;
  }

  /** Tells the sink what has been added up since it was last told. */
  flush(): void {
    for (const connection of this.#connections) this.#flush(connection);
  }

  /** Observes no more. */
  stop(): void {
    this.flush();
    this.#stop();
    this.#live.clear();
  }

  get #connections(): ReconnectingConnection[] {
    if (this.#source === undefined) return [...this.#live];
    return 'connections' in this.#source ? this.#source.connections : [this.#source];
  }

  #flush(connection: ReconnectingConnection): void {
    const before = this.#told.get(connection) ?? NONE;
    const now = figuresOf(connection);
    this.#told.set(connection, now);
    for (const name of FIGURES) {
      const more = now[name] - before[name];
      if (more > 0) this.#sink.add(name, more, connection.tag);
    }
  }

  readonly #listeners: Listeners = {
    open: (info, tag, connection) => {
      this.#live.add(connection);
      this.#flush(connection);
      this.#sink.add('opens', 1, tag);
      if (info.reopened) this.#sink.record('downtime', info.downtime / 1000, tag);
    },
    reset: (info, tag, connection) => {
      this.#live.add(connection);
      this.#flush(connection);
      this.#sink.add('resets', 1, tag, info);
      if (info.uncertain.writes > 0) this.#sink.add('uncertain', info.uncertain.writes, tag);
      this.#sink.record('uptime', info.uptime / 1000, tag);
    },
    backoff: (info, tag, connection) => {
      this.#live.add(connection);
      this.#flush(connection);
      this.#sink.add('backoffs', 1, tag, info);
    },
    drop: (info, tag) => {
      this.#sink.add('drops', 1, tag, info);
      this.#sink.add('droppedBytes', info.bytes, tag, info);
    },
    close: (info, tag, connection) => {
      this.#flush(connection);
      this.#live.delete(connection);
      this.#sink.add('closes', 1, tag, info);
    },
  };

  #subscribe(): () => void {
    const subscriptions = EVENTS.map((event) => {
      // `as`: what is published on the library's own channels, and told to the listener of the same name.
      const listener = this.#listeners[event] as (
        info: unknown,
        tag: string,
        connection: ReconnectingConnection,
      ) => void;
      const subscriber = (message: unknown) => {
        const { tag, connection } = message as ChannelMessage;
        listener(message, tag, connection);
      };
      const name = `reconnecting-connection:connection:${event}`;
      subscribe(name, subscriber);
      return () => unsubscribe(name, subscriber);
    });
    return () => {
      for (const unsubscribe of subscriptions) unsubscribe();
    };
  }

  #listen(source: Exclude<MetricsSource, 'all'>): () => void {
    // `as`: a pool adds the tag and the member to what its listeners are told; for a connection they are added here.
    const own = 'connections' in source ? undefined : source;
    const emitter = source as unknown as Source;
    const bound = EVENTS.map((event) => {
      const listener = this.#listeners[event] as (...args: unknown[]) => void;
      return [event, own === undefined ? listener : (info: unknown) => listener(info, own.tag, own)] as const;
    });
    for (const [event, listener] of bound) emitter.on(event, listener);
    return () => {
      for (const [event, listener] of bound) emitter.off(event, listener);
    };
  }
}

interface Source {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** Throws `ERR_INVALID_OPTION` for what cannot be observed. */
export function checkSource(source: unknown): void {
  const expected = "a connection, a pool, or 'all'";
  if (source === 'all') return;
  if (typeof source !== 'object' || source === null) throw invalidOption('what is observed', expected, source);
  checkObject(source, 'what is observed');
  const { on, off } = source as Partial<Source>;
  const isOurs = typeof on === 'function' && typeof off === 'function' && ('tag' in source || 'connections' in source);
  if (!isOurs) throw invalidOption('what is observed', expected, source);
}

function figuresOf({ stats: { dials, failures, bytesReceived, writes } }: ReconnectingConnection): Figures {
  return { dials, failures, received: bytesReceived, sent: writes.confirmed.bytes };
}
