import { invalidOption } from '../errors';
import { type Instrument, counters, each, gauges, histograms } from './instruments';
import type { PrometheusLabels, PrometheusRegistry } from './prometheus-options';

/** What a metric is made with. */
export interface PrometheusMetricConfig {
  /** Its name, with the prefix. */
  name: string;
  /** What it counts or measures. */
  help: string;
  /** The names of all its labels. */
  labelNames: string[];
  /** The one registry that it is in. */
  registers: never[];
  /** Called before each scrape. */
  collect: () => void;
  /** The upper bounds of a histogram's buckets, in seconds. */
  buckets?: number[];
}

/** Makes a metric, and registers it. */
export type PrometheusConstructor<Metric> = new (config: PrometheusMetricConfig) => Metric;

/** The part of the module prom-client that is used. */
export interface PrometheusClient {
  /** The registry that is meant where none is named. */
  readonly register: PrometheusRegistry;
  /** Makes a metric that only grows. */
  readonly Counter: PrometheusConstructor<PrometheusCounter>;
  /** Makes a metric that rises and falls. */
  readonly Gauge: PrometheusConstructor<PrometheusGauge>;
  /** Makes a metric that sorts values into buckets. */
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

/** A metric that sorts values into buckets. */
export interface PrometheusHistogram extends PrometheusMetric {
  /** Adds a value, in seconds, to the series with these labels. */
  observe(labels: PrometheusLabels, value: number): void;
}

/** A source, as its metrics see it. */
export interface Series {
  /** Brings the counters up to date. */
  flush(): void;
  /** Adds what is so at the moment to the gauges. */
  sample(): void;
  /** Whether it has a series with these labels. */
  has(metric: PrometheusMetric, key: string): boolean;
  /** Its series. */
  readonly all: Iterable<readonly [PrometheusMetric, ReadonlyMap<string, PrometheusLabels>]>;
}

/** The metrics of one registry and prefix, which all sources share. */
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
    if (taken !== undefined) throw invalidOption('option `prefix`', `one under which \`${taken}\` is free`, prefix);

    const config = (instrument: Instrument, name: string, collect: () => void): PrometheusMetricConfig => ({
      name,
      help: instrument.help,
      labelNames: [...labelNames, ...(instrument.by === undefined ? [] : [instrument.by])],
      // `as`: a registry of prom-client's, whose type is not known here.
      registers: [registry] as never[],
      collect,
    });
    const flush = oncePerTurn(() => {
      for (const series of this.#series) series.flush();
    });
    const sample = oncePerTurn(() => {
      for (const gauge of Object.values(this.gauges)) gauge.reset();
      for (const series of this.#series) series.sample();
    });
    const { Counter, Gauge, Histogram } = client;
    this.counters = each(counters, (each) => new Counter(config(each, nameOf(prefix, each, 'total'), flush)));
    this.gauges = each(gauges, (each) => new Gauge(config(each, nameOf(prefix, each), sample)));
    this.histograms = each(histograms, (each) => {
      const buckets = [...each.buckets];
      return new Histogram({ ...config(each, nameOf(prefix, each, 'seconds'), () => undefined), buckets });
    });
  }

  /** Whether the registry still has them: not after its `clear()`, nor when the last source is gone. */
  get isRegistered(): boolean {
    return this.#names.every((name) => this.#registry.getSingleMetric(name) !== undefined);
  }

  /** Throws unless the labels have the names with which the metrics were made: prom-client wants them fixed. */
  checkLabels(labels: PrometheusLabels, hasTarget: boolean): void {
    const names = [...Object.keys(labels), ...(hasTarget ? ['target'] : [])].sort().join(', ');
    const expected = [...this.#labelNames].sort().join(', ');
    if (names === expected) return;
    throw invalidOption(
      'the labels',
      `those of what is registered already (${expected || 'none'}; or give another \`prefix\` or \`registry\`)`,
      names,
    );
  }

  add(series: Series): void {
    this.#series.add(series);
  }

  /** Removes a source's series, unless another has them too; with the last source, the metrics. */
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

/** A scrape asks every metric of the registry in one turn, and what is asked of a source is the same for all. */
function oncePerTurn(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    queueMicrotask(() => (done = false));
    work();
  };
}
