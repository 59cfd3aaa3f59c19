import type { StateName } from 'reconnecting-connection';

import { invalidOption } from '../errors';
import { limited } from './attributes';
import { type Instrument, counters, gauges, histograms, mapValues } from './instruments';
import { type MetricsSource, Observation } from './observation';

/** Labels and their values. */
export type PrometheusLabels = Readonly<Record<string, string>>;

/** The part of prom-client's `Registry` that is used. */
export interface PrometheusRegistry {
  /** The metric of that name, or undefined. */
  getSingleMetric(name: string): unknown;
  /** Removes the metric of that name. */
  removeSingleMetric(name: string): void;
}

/** The configuration of a metric. */
export interface PrometheusMetricConfig {
  /** Its name, including the prefix. */
  name: string;
  /** What it counts or measures. */
  help: string;
  /** The names of all its labels. */
  labelNames: string[];
  /** The registry, as an array of one. */
  registers: never[];
  /** Called before each scrape. */
  collect: () => void;
  /** The upper bounds of a histogram's buckets, in seconds. */
  buckets?: number[];
}

/** Creates a metric and registers it. */
export type PrometheusConstructor<Metric> = new (config: PrometheusMetricConfig) => Metric;

/** The part of the module prom-client that is used. */
export interface PrometheusClient {
  /** The default registry. */
  readonly register: PrometheusRegistry;
  /** Creates a metric that only grows. */
  readonly Counter: PrometheusConstructor<PrometheusCounter>;
  /** Creates a metric that rises and falls. */
  readonly Gauge: PrometheusConstructor<PrometheusGauge>;
  /** Creates a metric that counts values in buckets. */
  readonly Histogram: PrometheusConstructor<PrometheusHistogram>;
}

/** A metric whose series can be removed. */
export interface PrometheusMetric {
  /** Removes the series with these labels. */
  remove(labels: PrometheusLabels): void;
}

/** A metric that only grows. */
export interface PrometheusCounter extends PrometheusMetric {
  /** Adds to the series with these labels. */
  inc(labels: PrometheusLabels, value: number): void;
}

/** A metric that rises and falls. */
export interface PrometheusGauge extends PrometheusMetric {
  /** Adds to the series with these labels. */
  inc(labels: PrometheusLabels, value: number): void;
  /** Sets all its series to zero. */
  reset(): void;
}

/** A metric that counts values in buckets. */
export interface PrometheusHistogram extends PrometheusMetric {
  /** Adds a value, in seconds, to the series with these labels. */
  observe(labels: PrometheusLabels, value: number): void;
}

/** All states, so that one without connections has the value 0. */
const STATES: readonly StateName[] = ['idle', 'connecting', 'open', 'backoff', 'closing', 'closed'];

/** The metrics of one registry and prefix. All sources share them. */
export class PrometheusMetrics {
  readonly counters: Record<keyof typeof counters, PrometheusCounter>;
  readonly gauges: Record<keyof typeof gauges, PrometheusGauge>;
  readonly histograms: Record<keyof typeof histograms, PrometheusHistogram>;
  readonly #registry: PrometheusRegistry;
  readonly #labelNames: string;
  readonly #names: readonly string[];
  readonly #sources = new Set<Series>();
  /** The ages of this scrape, by labels. */
  readonly #ages = new Map<string, number>();

  constructor(client: PrometheusClient, registry: PrometheusRegistry, prefix: string, labelNames: readonly string[]) {
    this.#registry = registry;
    this.#labelNames = [...labelNames].sort().join(', ');
    this.#names = [
      ...Object.values(counters).map((each) => nameOf(prefix, each, 'total')),
      ...Object.values(gauges).map((each) => nameOf(prefix, each, ...unitOf(each))),
      ...Object.values(histograms).map((each) => nameOf(prefix, each, 'seconds')),
    ];
    const taken = this.#names.find((name) => registry.getSingleMetric(name) !== undefined);
    if (taken !== undefined) throw invalidOption('option `prefix`', `one with which \`${taken}\` is not taken`, prefix);

    const config = (instrument: Instrument, name: string, collect: () => void): PrometheusMetricConfig => ({
      name,
      help: instrument.help,
      labelNames: [...labelNames, ...(instrument.by === undefined ? [] : [instrument.by])],
      // `as`: a registry of prom-client, whose type is unknown here.
      registers: [registry] as never[],
      collect,
    });
    const flush = oncePerScrape(() => {
      for (const series of this.#sources) series.observation.flush();
    });
    const sample = oncePerScrape(() => {
      for (const gauge of Object.values(this.gauges)) gauge.reset();
      this.#ages.clear();
      for (const series of this.#sources) series.sample();
    });
    const { Counter, Gauge, Histogram } = client;
    this.counters = mapValues(counters, (each) => new Counter(config(each, nameOf(prefix, each, 'total'), flush)));
    this.gauges = mapValues(gauges, (each) => new Gauge(config(each, nameOf(prefix, each, ...unitOf(each)), sample)));
    this.histograms = mapValues(histograms, (each) => {
      const buckets = [...each.buckets];
      return new Histogram({ ...config(each, nameOf(prefix, each, 'seconds'), () => undefined), buckets });
    });
  }

  /** Whether the registry still contains them: not after its `clear()`, nor after the last source was removed. */
  get isRegistered(): boolean {
    return this.#names.every((name) => this.#registry.getSingleMetric(name) !== undefined);
  }

  /**
   * Adds a source, and returns the function that removes it. Throws unless its labels have the names with which the metrics
   * were created: prom-client does not allow others.
   */
  add(source: MetricsSource, labels: PrometheusLabels, labelNames: readonly string[], maxTargets: number): () => void {
    const names = [...labelNames].sort().join(', ');
    if (names !== this.#labelNames) {
      const expected = `those of the registered metrics (${this.#labelNames || 'none'})`;
      throw invalidOption('the label names', `${expected}, unless another \`prefix\` or \`registry\` is set`, names);
    }
    const series = new Series(source, this, labels, maxTargets);
    this.#sources.add(series);
    return () => {
      series.observation.stop();
      this.#remove(series);
    };
  }

  /** Adds to a gauge: of ages, the greatest counts. */
  observe(name: keyof typeof gauges, labels: PrometheusLabels, value: number): void {
    if (name !== 'listAge') return this.gauges[name].inc(labels, value);
    const key = JSON.stringify(Object.entries(labels).sort());
    const before = this.#ages.get(key) ?? 0;
    this.#ages.set(key, Math.max(before, value));
    this.gauges.listAge.inc(labels, Math.max(0, value - before));
  }

  /** Removes the series that no other source has; with the last source, it removes the metrics. */
  #remove(series: Series): void {
    if (!this.#sources.delete(series)) return;
    if (this.#sources.size === 0) {
      for (const name of this.#names) this.#registry.removeSingleMetric(name);
      return;
    }
    for (const [metric, byKey] of series.all) {
      for (const [key, labels] of byKey) {
        if (![...this.#sources].some(({ all }) => all.get(metric)?.has(key) === true)) metric.remove(labels);
      }
    }
  }
}

/** The series of one source. */
class Series {
  readonly observation: Observation;
  /** The labels of all its counters and histograms by metric and key, so that they can be removed. */
  readonly all = new Map<PrometheusMetric, Map<string, PrometheusLabels>>();
  readonly #metrics: PrometheusMetrics;
  readonly #labels: PrometheusLabels;
  readonly #limitTarget: ((tag: string) => string) | undefined;

  constructor(source: MetricsSource, metrics: PrometheusMetrics, labels: PrometheusLabels, maxTargets: number) {
    this.#metrics = metrics;
    this.#labels = labels;
    this.#limitTarget = maxTargets === 0 ? undefined : limited(maxTargets, 'other');
    const { counters, histograms } = metrics;
    this.observation = new Observation(source, {
      add: (name, amount, tag, cause) => {
        // Only counters by reason have a cause.
        const labels = this.#labelsOf(tag, cause && { reason: cause.reason });
        counters[name].inc(this.#remember(counters[name], labels), amount);
      },
      record: (name, seconds, tag) => {
        histograms[name].observe(this.#remember(histograms[name], this.#labelsOf(tag)), seconds);
      },
    });
  }

  /** Adds the current state to the gauges. */
  sample(): void {
    const { connections, pending } = this.#metrics.gauges;
    for (const { tag, state, pendingBytes } of this.observation.samples) {
      for (const each of STATES) connections.inc(this.#labelsOf(tag, { state: each }), each === state ? 1 : 0);
      pending.inc(this.#labelsOf(tag), pendingBytes);
    }
    // `as`: the keys are names of gauges.
    for (const [name, value] of Object.entries(this.observation.poolGauges) as [keyof typeof gauges, number][]) {
      this.#metrics.observe(name, this.#labels, value);
    }
  }

  #labelsOf(tag: string | undefined, more?: PrometheusLabels): PrometheusLabels {
    const target = tag === undefined ? undefined : this.#limitTarget?.(tag);
    return { ...this.#labels, ...(target !== undefined && { target }), ...more };
  }

  #remember(metric: PrometheusMetric, labels: PrometheusLabels): PrometheusLabels {
    const byKey = this.all.get(metric) ?? new Map<string, PrometheusLabels>();
    this.all.set(metric, byKey);
    byKey.set(JSON.stringify(Object.values(labels)), labels);
    return labels;
  }
}

function nameOf(prefix: string, { words }: Instrument, ...end: readonly string[]): string {
  return prefix + [...words, ...end].join('_');
}

function unitOf({ unit }: Instrument): readonly string[] {
  return unit === 's' ? ['seconds'] : [];
}

/** A scrape calls `collect` of every metric in the same tick, but one call updates all of them. */
function oncePerScrape(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    queueMicrotask(() => (done = false));
    work();
  };
}
