import { type Check, type Checks, checkObject, checkRecord, integer, readProperties } from '../options/checks';
import { invalidOption } from '../errors';
import { causeAttributes, targetAttributes } from './attributes';
import { Bounded } from './bounded';
import { type Instrument, counters, each, gauges, histograms } from './instruments';
import { type MetricsSource, Observation, checkSource } from './observation';

export type { MetricsSource } from './observation';

/** Attributes of a series. */
export type OpenTelemetryAttributes = Readonly<Record<string, string | number | boolean>>;

/** What an instrument is made with. */
export interface OpenTelemetryInstrumentOptions {
  /** What it counts or measures. */
  description: string;
  /** In the notation of UCUM, as OpenTelemetry asks for. */
  unit: string;
  /** What a histogram is advised to do. */
  advice?: {
    /** The upper bounds of its buckets, in seconds. */
    explicitBucketBoundaries?: number[];
  };
}

/** Takes what is so at the moment. */
export interface OpenTelemetryResult {
  /** The value of an instrument's series at the moment. */
  observe(instrument: never, value: number, attributes?: OpenTelemetryAttributes): void;
}

/** An instrument that only grows. */
export interface OpenTelemetryCounter {
  /** Adds to the series with these attributes. */
  add(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** An instrument that sorts values into buckets. */
export interface OpenTelemetryHistogram {
  /** Adds a value, in seconds, to the series with these attributes. */
  record(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** The part of OpenTelemetry's `Meter` that is used. */
export interface OpenTelemetryMeter {
  /** Makes an instrument that only grows. */
  createCounter(name: string, options: OpenTelemetryInstrumentOptions): OpenTelemetryCounter;
  /** Makes an instrument that sorts values into buckets. */
  createHistogram(name: string, options: OpenTelemetryInstrumentOptions): OpenTelemetryHistogram;
  /** Makes an instrument that is asked for its values, which rise and fall. */
  createObservableUpDownCounter(name: string, options: OpenTelemetryInstrumentOptions): object;
  /** Asks `callback` for the values of `instruments` at each export. */
  addBatchObservableCallback(callback: (result: OpenTelemetryResult) => void, instruments: never[]): void;
  /** Asks it no more. */
  removeBatchObservableCallback(callback: (result: OpenTelemetryResult) => void, instruments: never[]): void;
}

/** Options of {@link exportMetrics}. */
export interface OpenTelemetryOptions {
  /** Attributes of all series of this source, such as `{ pool: 'cache' }`. Default: none. */
  readonly attributes?: OpenTelemetryAttributes;
  /**
   * How many targets have a `server.address` and a `server.port` of their own; all others have the address `_OTHER`. 0
   * for no attributes of the target. Default: 50.
   */
  readonly maxTargets?: number;
}

/** Different values of `error.type`; all that come later are `_OTHER`. */
const MOST_ERRORS = 50;

const METHODS = [
  'createCounter',
  'createHistogram',
  'createObservableUpDownCounter',
  'addBatchObservableCallback',
  'removeBatchObservableCallback',
] as const satisfies readonly (keyof OpenTelemetryMeter)[];

const attributes: Check<OpenTelemetryAttributes> = (value, name) => {
  checkObject(value, name);
  const given = readProperties(value, 'attributes').map(([key, each]): [string, string | number | boolean] => {
    if (typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean') return [key, each];
    throw invalidOption(`option \`attributes.${key}\``, 'a string, a number or a boolean', each);
  });
  return Object.fromEntries(given);
};

const checks: Checks<OpenTelemetryOptions> = { attributes, maxTargets: integer(0) };

/**
 * Makes instruments for a connection, for a pool's members, or with `'all'` for every connection of the process, and
 * records into them.
 *
 * The attributes are those of `attributes`, `server.address`, `server.port` and `network.transport` of the target
 * (bounded by `maxTargets`), and on some `reconnecting_connection.state`, or `reconnecting_connection.reason` and
 * `error.type`, of which there are few. Sources that are observed beside each other need attributes that tell them apart.
 * With `'all'`, a connection is known from its first `open` or `backoff` until its `close`.
 *
 * @param meter - Of `@opentelemetry/api` 1.3 or later, such as `metrics.getMeter('app')`: nothing is imported here.
 * @returns a function after which nothing more is recorded; the instruments stay, for a meter cannot remove them
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function exportMetrics<Message>(
  source: MetricsSource<Message>,
  meter: OpenTelemetryMeter,
  options: OpenTelemetryOptions = {},
): () => void {
  checkSource(source);
  checkMeter(meter);
  const { attributes = {}, maxTargets = 50 } = checkRecord<OpenTelemetryOptions>('', options, checks);

  const targets = new Bounded(maxTargets, '');
  const errors = new Bounded(MOST_ERRORS, '_OTHER');
  const attributesOf = (tag: string, more?: OpenTelemetryAttributes): OpenTelemetryAttributes => ({
    ...attributes,
    ...(maxTargets > 0 && targetAttributes(targets.of(tag))),
    ...more,
  });

  const made = {
    counters: each(counters, (each) => meter.createCounter(nameOf(each), about(each))),
    gauges: each(gauges, (each) => meter.createObservableUpDownCounter(nameOf(each), about(each))),
    histograms: each(histograms, (each) => {
      const advice = { explicitBucketBoundaries: [...each.buckets] };
      return meter.createHistogram(nameOf(each), { ...about(each), advice });
    }),
  };
  const observation = new Observation(source, {
    add: (name, amount, tag, cause) => {
      made.counters[name].add(amount, attributesOf(tag, cause && causeAttributes(cause, errors)));
    },
    record: (name, seconds, tag) => made.histograms[name].record(seconds, attributesOf(tag)),
  });

  // `as`: the meter's own instruments, whose type is not known here.
  const { connections, pending, waiting } = made.gauges as Record<keyof typeof gauges, never>;
  const observe = (result: OpenTelemetryResult) => {
    observation.flush();
    const sums = new Sums();
    for (const { tag, state, pendingBytes } of observation.samples) {
      sums.add(connections, 1, attributesOf(tag, { 'reconnecting_connection.state': state }));
      sums.add(pending, pendingBytes, attributesOf(tag));
    }
    if (observation.waiting !== undefined) sums.add(waiting, observation.waiting, attributes);
    sums.observe(result);
  };
  const instruments = [connections, pending, waiting];
  meter.addBatchObservableCallback(observe, instruments);
  return () => {
    observation.stop();
    meter.removeBatchObservableCallback(observe, instruments);
  };
}

/** What several connections have in common is one value: a second observation of it would take the place of the first. */
class Sums {
  readonly #sums = new Map<
    string,
    { readonly instrument: never; readonly attributes: OpenTelemetryAttributes; value: number }
  >();
  readonly #numbers = new Map<unknown, number>();

  add(instrument: never, value: number, attributes: OpenTelemetryAttributes): void {
    const number = this.#numbers.get(instrument) ?? this.#numbers.size;
    this.#numbers.set(instrument, number);
    const key = JSON.stringify([number, attributes]);
    const sum = this.#sums.get(key);
    if (sum === undefined) this.#sums.set(key, { instrument, attributes, value });
    else sum.value += value;
  }

  observe(result: OpenTelemetryResult): void {
    for (const { instrument, value, attributes } of this.#sums.values()) result.observe(instrument, value, attributes);
  }
}

function nameOf({ words }: Instrument): string {
  return `reconnecting_connection.${words.join('_')}`;
}

function about({ help, unit }: Instrument): OpenTelemetryInstrumentOptions {
  return { description: help, unit };
}

function checkMeter(meter: unknown): asserts meter is OpenTelemetryMeter {
  const given = (meter ?? {}) as Partial<OpenTelemetryMeter>;
  if (METHODS.some((name) => typeof given[name] !== 'function')) {
    throw invalidOption('`meter`', 'a Meter of OpenTelemetry', meter);
  }
}
