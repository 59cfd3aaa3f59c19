import { invalidOption } from '../errors';
import { type Instrument, counters, gauges, histograms, mapValues } from './instruments';
import type { PrometheusLabels, PrometheusRegistry } from './prometheus-options';

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

/** The series of one source. */
export interface Series {
  /** Updates the counters. */
  flush(): void;
  /** Adds the current state to the gauges. */
  sample(): void;
  /** Whether it has the series of `metric` with that key. */
  has(metric: PrometheusMetric, key: string): boolean;
  /** The labels of all its series by metric and key. */
  readonly all: Iterable<readonly [PrometheusMetric, ReadonlyMap<string, PrometheusLabels>]>;
}

/** The metrics of one registry and prefix. All sources share them. */
export class PrometheusMetrics {
  readonly counters: Record<keyof typeof counters, PrometheusCounter>;
  readonly gauges: Record<keyof typeof gauges, PrometheusGauge>;
  readonly histograms: Record<keyof typeof histograms, PrometheusHistogram>;
  readonly #registry: PrometheusRegistry;
  readonly #labelNames: readonly string[];
  readonly #names: readonly string[];
  readonly #series = new Set<Series>();

  constructor(client: PrometheusClient, registry: PrometheusRegistry, prefix: string, labelNames: readonly string[]) {
    this.#registry = registry;
    this.#labelNames = labelNames;
    this.#names = [
      ...Object.values(counters).map((each) => nameOf(prefix, each, 'total')),
      ...Object.values(gauges).map((each) => nameOf(prefix, each)),
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
      for (const series of this.#series) series.flush();
    });
    const sample = oncePerScrape(() => {
      for (const gauge of Object.values(this.gauges)) gauge.reset();
      for (const series of this.#series) series.sample();
    });
    const { Counter, Gauge, Histogram } = client;
    this.counters = mapValues(counters, (each) => new Counter(config(each, nameOf(prefix, each, 'total'), flush)));
    this.gauges = mapValues(gauges, (each) => new Gauge(config(each, nameOf(prefix, each), sample)));
    this.histograms = mapValues(histograms, (each) => {
      const buckets = [...each.buckets];
      return new Histogram({ ...config(each, nameOf(prefix, each, 'seconds'), () => undefined), buckets });
    });
  }

  /** Whether the registry still contains them: not after its `clear()`, nor after the last source was removed. */
  get isRegistered(): boolean {
    return this.#names.every((name) => this.#registry.getSingleMetric(name) !== undefined);
  }

  /** Throws unless the labels have the names with which the metrics were created: prom-client does not allow others. */
  checkLabels(labels: PrometheusLabels, hasTarget: boolean): void {
    const names = [...Object.keys(labels), ...(hasTarget ? ['target'] : [])].sort().join(', ');
    const expected = [...this.#labelNames].sort().join(', ');
    if (names === expected) return;
    throw invalidOption(
      'the label names',
      `those of the registered metrics (${expected || 'none'}), unless another \`prefix\` or \`registry\` is set`,
      names,
    );
  }

  add(series: Series): void {
    this.#series.add(series);
  }

  /** Removes the series that no other source has; with the last source, it removes the metrics. */
  remove(series: Series): void {
    if (!this.#series.delete(series)) return;
    if (this.#series.size === 0) {
      for (const name of this.#names) this.#registry.removeSingleMetric(name);
      return;
    }
    for (const [metric, byKey] of series.all) {
      for (const [key, labels] of byKey) {
        if (![...this.#series].some((other) => other.has(metric, key))) metric.remove(labels);
      }
    }
  }
}

function nameOf(prefix: string, { words }: Instrument, ...end: readonly string[]): string {
  return prefix + [...words, ...end].join('_');
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
