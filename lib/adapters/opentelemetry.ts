import { type Check, type Checks, checkObject, checkRecord, integer, readProperties } from '../options/checks';
import { fromCaller, invalidOption } from '../errors';
import { causeAttributes, limited, targetAttributes } from './attributes';
import { type Instrument, counters, gauges, histograms, mapValues } from './instruments';
import { type MetricsSource, Observation, checkSource } from './observation';

export type { MetricsSource } from './observation';

/** Attributes of a series. */
export type OpenTelemetryAttributes = Readonly<Record<string, string | number | boolean>>;

/** Options of an instrument. */
export interface OpenTelemetryInstrumentOptions {
  /** What it counts or measures. */
  description: string;
  /** The unit in the notation of UCUM, as OpenTelemetry requires. */
  unit: string;
  /** Hints for the SDK. */
  advice?: {
    /** The upper bounds of a histogram's buckets, in seconds. */
    explicitBucketBoundaries?: number[];
  };
}

/** Receives the current values of observable instruments. */
export interface OpenTelemetryResult {
  /** Reports the current value of the series with these attributes. */
  observe(instrument: never, value: number, attributes?: OpenTelemetryAttributes): void;
}

/** An instrument that only grows. */
export interface OpenTelemetryCounter {
  /** Adds to the series with these attributes. */
  add(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** An instrument that counts values in buckets. */
export interface OpenTelemetryHistogram {
  /** Adds a value, in seconds, to the series with these attributes. */
  record(value: number, attributes?: OpenTelemetryAttributes): void;
}

/** The part of OpenTelemetry's `Meter` that is used. */
export interface OpenTelemetryMeter {
  /** Creates an instrument that only grows. */
  createCounter(name: string, options: OpenTelemetryInstrumentOptions): OpenTelemetryCounter;
  /** Creates an instrument that counts values in buckets. */
  createHistogram(name: string, options: OpenTelemetryInstrumentOptions): OpenTelemetryHistogram;
  /** Creates an instrument whose values rise and fall, and are requested from a callback. */
  createObservableUpDownCounter(name: string, options: OpenTelemetryInstrumentOptions): object;
  /** Calls `callback` for the values of `instruments` at each export. */
  addBatchObservableCallback(callback: (result: OpenTelemetryResult) => void, instruments: never[]): void;
  /** Removes a callback. */
  removeBatchObservableCallback(callback: (result: OpenTelemetryResult) => void, instruments: never[]): void;
}

/** Options of {@link exportMetrics}. */
export interface OpenTelemetryOptions {
  /** Attributes of all series of this source, such as `{ pool: 'cache' }`. Default: none. */
  readonly attributes?: OpenTelemetryAttributes | undefined;
  /** Number of targets with attributes of their own; further ones share the address `_OTHER`. 0 for none. Default: 50. */
  readonly maxTargets?: number | undefined;
}

/** Number of values of `error.type`; all further ones are `_OTHER`. */
const MAX_ERROR_TYPES = 50;

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
 * Creates instruments for a connection, for the members of a pool, or with `'all'` for all connections of the process,
 * and records their measurements.
 *
 * The attributes of a series are those of the option `attributes`; `server.address`, `server.port` and
 * `network.transport` of the target; and on some instruments `reconnecting_connection.state`, or
 * `reconnecting_connection.reason` and `error.type`, which have few values. Several sources with the same meter need
 * different `attributes`. With `'all'`, a connection is included from its first `open` or `backoff` until its `close`.
 *
 * @param meter - A meter of `@opentelemetry/api` 1.3 or later, such as `metrics.getMeter('app')`. This module does not
 *   import the package.
 * @returns a function that stops the recording; the instruments remain, because a meter cannot remove them
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function exportMetrics<Message>(
  source: MetricsSource<Message>,
  meter: OpenTelemetryMeter,
  options: OpenTelemetryOptions = {},
): () => void {
  const { attributes = {}, maxTargets = 50 } = fromCaller(exportMetrics, () => {
    checkSource(source);
    checkMeter(meter);
    return checkRecord<OpenTelemetryOptions>('', options, checks);
  });

  const limitTarget = limited(maxTargets, '');
  const limitType = limited(MAX_ERROR_TYPES, '_OTHER');
  const attributesOf = (tag: string | undefined, more?: OpenTelemetryAttributes): OpenTelemetryAttributes => ({
    ...attributes,
    ...(maxTargets > 0 && tag !== undefined && targetAttributes(limitTarget(tag))),
    ...more,
  });

  const created = {
    counters: mapValues(counters, (each) => meter.createCounter(nameOf(each), optionsOf(each))),
    gauges: mapValues(gauges, (each) => meter.createObservableUpDownCounter(nameOf(each), optionsOf(each))),
    histograms: mapValues(histograms, (each) => {
      const advice = { explicitBucketBoundaries: [...each.buckets] };
      return meter.createHistogram(nameOf(each), { ...optionsOf(each), advice });
    }),
  };
  const observation = new Observation(source, {
    add: (name, amount, tag, cause) => {
      created.counters[name].add(amount, attributesOf(tag, cause && causeAttributes(cause, limitType)));
    },
    record: (name, seconds, tag) => created.histograms[name].record(seconds, attributesOf(tag)),
  });

  // `as`: the type of the meter's instruments is unknown here.
  const observables = created.gauges as Record<keyof typeof gauges, never>;
  const observe = (result: OpenTelemetryResult) => {
    observation.flush();
    const states = new Sums();
    const bytes = new Sums();
    for (const { tag, state, pendingBytes } of observation.samples) {
      states.add(1, attributesOf(tag, { 'reconnecting_connection.state': state }));
      bytes.add(pendingBytes, attributesOf(tag));
    }
    states.observe(result, observables.connections);
    bytes.observe(result, observables.pending);
    // `as`: the keys are names of gauges.
    for (const [name, value] of Object.entries(observation.poolGauges) as [keyof typeof gauges, number][]) {
      result.observe(observables[name], value, attributes);
    }
  };
  const instruments = Object.values(observables);
  meter.addBatchObservableCallback(observe, instruments);
  return () => {
    observation.stop();
    meter.removeBatchObservableCallback(observe, instruments);
  };
}

/** Adds up the values of connections with equal attributes: a second observation would replace the first. */
class Sums {
  readonly #sums = new Map<string, { readonly attributes: OpenTelemetryAttributes; value: number }>();

  add(value: number, attributes: OpenTelemetryAttributes): void {
    const key = JSON.stringify(attributes);
    const sum = this.#sums.get(key) ?? { attributes, value: 0 };
    sum.value += value;
    this.#sums.set(key, sum);
  }

  observe(result: OpenTelemetryResult, instrument: never): void {
    for (const { value, attributes } of this.#sums.values()) result.observe(instrument, value, attributes);
  }
}

function nameOf({ words }: Instrument): string {
  return `reconnecting_connection.${words.join('_')}`;
}

function optionsOf({ help, unit }: Instrument): OpenTelemetryInstrumentOptions {
  return { description: help, unit };
}

function checkMeter(meter: unknown): asserts meter is OpenTelemetryMeter {
  const given = (meter ?? {}) as Partial<OpenTelemetryMeter>;
  if (METHODS.some((name) => typeof given[name] !== 'function')) {
    throw invalidOption('`meter`', 'a Meter of OpenTelemetry', meter);
  }
}
