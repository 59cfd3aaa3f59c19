import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import type {
  ChannelEvent,
  ChannelMessage,
  ConnectionPool,
  ConnectionStats,
  PoolEvents,
  ReconnectingConnection,
  RoundTrip,
  SourceInfo,
  StateName,
} from 'reconnecting-connection';

import { invalidOption } from '../errors';
import type { CounterName, GaugeName, HistogramName } from './instruments';

/** A source of metrics: a connection, a pool with all its members, or all connections of the process. */
export type MetricsSource<Message = unknown> = ReconnectingConnection<Message> | ConnectionPool<Message> | 'all';

/** The reason for which a counter is incremented. */
export interface Cause {
  readonly reason: string;
  readonly error?: Error;
}

/** Receives the measurements. */
export interface Sink {
  /** @param tag - Undefined where it is about a pool. */
  add(counter: CounterName, amount: number, tag: string | undefined, cause?: Cause): void;
  record(histogram: HistogramName, seconds: number, tag: string): void;
}

/** The current state of a connection. */
export interface Sample {
  readonly tag: string;
  readonly state: StateName;
  readonly pendingBytes: number;
}

type Listeners = Pick<PoolEvents, ChannelEvent>;

const EVENTS: readonly ChannelEvent[] = ['open', 'reset', 'backoff', 'drop', 'close'];

const EJECTIONS = 'reconnecting-connection:pool:eject';

/** Counters that a connection has in its `stats`. */
const COUNTS = ['dials', 'failures', 'received', 'unheard', 'sent'] as const;

type Counts = Readonly<Record<(typeof COUNTS)[number], number>>;

const ZERO: Counts = { dials: 0, failures: 0, received: 0, unheard: 0, sent: 0 };

/** Passes the events and the counts of a source to a sink. */
export class Observation {
  readonly #source: Exclude<MetricsSource, 'all'> | undefined;
  readonly #sink: Sink;
  /** For the source `'all'`: the connections that have emitted an event and have not closed. */
  readonly #live = new Set<ReconnectingConnection>();
  /** The counts of each connection that the sink has received. */
  readonly #flushed = new WeakMap<ReconnectingConnection, Counts>();
  /** The round trip of each connection that the sink has received last. */
  readonly #roundTrips = new WeakMap<ReconnectingConnection, RoundTrip>();
  readonly #stop: () => void;

  constructor(source: MetricsSource, sink: Sink) {
    this.#source = source === 'all' ? undefined : source;
    this.#sink = sink;
    // Earlier counts are not reported.
    for (const connection of this.#connections) this.#flushed.set(connection, countsOf(connection.stats));
    this.#stop = this.#source === undefined ? this.#subscribe() : this.#listen(this.#source);
  }

  /** The current state of each connection. */
  get samples(): Sample[] {
    return this.#connections.map(({ tag, state, pendingBytes }) => ({ tag, state, pendingBytes }));
  }

  /** The gauges of a pool; none for other sources. */
  get poolGauges(): Partial<Record<GaugeName, number>> {
    if (this.#source === undefined || !('connections' in this.#source)) return {};
    const { waiting, ejected, sources } = this.#source.stats;
    if (sources.length === 0) return { waiting, ejected };
    const listed = sources.reduce((sum, each) => sum + each.listed, 0);
    const followed = sources.reduce((sum, { entries }) => sum + entries, 0);
    const oldest = Math.min(...sources.map(({ listedAt = Infinity }) => listedAt));
    const age = Math.max(0, Date.now() - oldest) / 1000;
    return { waiting, ejected, listed, followed, ...(oldest < Infinity && { listAge: age }) };
  }

  /** Adds the counts since the last flush to the sink. */
  flush(): void {
    for (const connection of this.#connections) this.#flush(connection);
  }

  /** Flushes for the last time, and removes all listeners. */
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
    const before = this.#flushed.get(connection) ?? ZERO;
    const { stats } = connection;
    const now = countsOf(stats);
    this.#flushed.set(connection, now);
    for (const name of COUNTS) {
      const increase = now[name] - before[name];
      if (increase > 0) this.#sink.add(name, increase, connection.tag);
    }
    const { roundTrip } = stats;
    // Each measurement is an object of its own.
    if (roundTrip === null || this.#roundTrips.get(connection) === roundTrip) return;
    this.#roundTrips.set(connection, roundTrip);
    this.#sink.record('roundTrip', roundTrip.last / 1000, connection.tag);
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
      const subscriber = (message: unknown) => {
        // `as`: the channel of an event carries its payload, with the tag and the connection.
        const { tag, connection } = message as ChannelMessage;
        this.#listeners[event](message as never, tag, connection);
      };
      const name = `reconnecting-connection:connection:${event}`;
      subscribe(name, subscriber);
      return () => unsubscribe(name, subscriber);
    });
    const onEject = (message: unknown) => {
      // `as`: the channel carries the payload of `eject`, with the tag and the connection.
      this.#sink.add('ejections', 1, (message as ChannelMessage).tag);
    };
    subscribe(EJECTIONS, onEject);
    return () => {
      unsubscribe(EJECTIONS, onEject);
      for (const unsubscribe of subscriptions) unsubscribe();
    };
  }

  #listen(source: Exclude<MetricsSource, 'all'>): () => void {
    // `as`: a pool passes the tag and the member to its listeners; for a connection, the defaults stand in for them.
    const emitter = source as unknown as Emitter;
    const single = source as ReconnectingConnection;
    const added = EVENTS.map((event) => {
      const listener: Listener = (info, tag = single.tag, connection = single) =>
        this.#listeners[event](info, tag, connection);
      emitter.on(event, listener);
      return [event, listener] as const;
    });
    // Only pools emit these.
    const onEject: Listener = (_info, tag = single.tag) => this.#sink.add('ejections', 1, tag);
    const onSource = ({ kind, error }: SourceInfo) => {
      if (kind !== 'failed' && kind !== 'refused') return;
      this.#sink.add('sourceFailures', 1, undefined, { reason: kind, ...(error && { error }) });
    };
    emitter.on('eject', onEject).on('source', onSource);
    return () => {
      for (const [event, listener] of added) emitter.off(event, listener);
      emitter.off('eject', onEject).off('source', onSource);
    };
  }
}

type Listener = (info: never, tag?: string, connection?: ReconnectingConnection) => void;

interface Emitter {
  on(event: string, listener: Listener): Emitter;
  off(event: string, listener: Listener): Emitter;
}

/** Throws `ERR_INVALID_OPTION` unless `source` is a {@link MetricsSource}. */
export function checkSource(source: unknown): void {
  if (source === 'all') return;
  if (typeof source === 'object' && source !== null) {
    const { on, off } = source as Partial<Emitter>;
    if (typeof on === 'function' && typeof off === 'function' && ('tag' in source || 'connections' in source)) return;
  }
  throw invalidOption('`source`', "a connection, a pool, or 'all'", source);
}

function countsOf({ dials, failures, bytesReceived, unheardBytes, writes }: ConnectionStats): Counts {
  return { dials, failures, received: bytesReceived, unheard: unheardBytes, sent: writes.confirmed.bytes };
}
