import type { StateName } from 'reconnecting-connection';

import { BoundedSet } from './bounded-set';
import { type MetricsSource, Observation } from './observation';
import type { PrometheusLabels } from './prometheus-options';
import type { PrometheusMetric, PrometheusMetrics, Series } from './prometheus-metrics';

/** All states, so that one without connections has the value 0. */
const STATES: readonly StateName[] = ['idle', 'connecting', 'open', 'backoff', 'closing', 'closed'];

/** The series of one source. */
export class PrometheusSeries implements Series {
  readonly #metrics: PrometheusMetrics;
  readonly #labels: PrometheusLabels;
  readonly #targets: BoundedSet | undefined;
  readonly #observation: Observation;
  readonly #all = new Map<PrometheusMetric, Map<string, PrometheusLabels>>();

  constructor(source: MetricsSource, metrics: PrometheusMetrics, labels: PrometheusLabels, maxTargets: number) {
    this.#metrics = metrics;
    this.#labels = labels;
    this.#targets = maxTargets === 0 ? undefined : new BoundedSet(maxTargets, 'other');
    const { counters, histograms } = metrics;
    this.#observation = new Observation(source, {
      add: (name, amount, tag, cause) => {
        // The other counters have no such label.
        const labels = this.#labelsOf(tag, cause && { reason: cause.reason });
        counters[name].inc(this.#remember(counters[name], labels), amount);
      },
      record: (name, seconds, tag) => {
        histograms[name].observe(this.#remember(histograms[name], this.#labelsOf(tag)), seconds);
      },
    });
  }

  get all(): Iterable<readonly [PrometheusMetric, ReadonlyMap<string, PrometheusLabels>]> {
    return this.#all;
  }

  has(metric: PrometheusMetric, key: string): boolean {
    return this.#all.get(metric)?.has(key) === true;
  }

  flush(): void {
    this.#observation.flush();
  }

  sample(): void {
    const { connections, pending, waiting } = this.#metrics.gauges;
    for (const { tag, state, pendingBytes } of this.#observation.samples) {
      for (const each of STATES) connections.inc(this.#labelsOf(tag, { state: each }), each === state ? 1 : 0);
      pending.inc(this.#labelsOf(tag), pendingBytes);
    }
    const members = this.#observation.waiting;
    if (members !== undefined) waiting.inc(this.#labels, members);
  }

  stop(): void {
    this.#observation.stop();
  }

  #labelsOf(tag: string, more?: PrometheusLabels): PrometheusLabels {
    return { ...this.#labels, ...(this.#targets && { target: this.#targets.limit(tag) }), ...more };
  }

  /** Remembers a series, so that it can be removed, and returns its labels. */
  #remember(metric: PrometheusMetric, labels: PrometheusLabels): PrometheusLabels {
    const byKey = this.#all.get(metric) ?? new Map<string, PrometheusLabels>();
    this.#all.set(metric, byKey);
    byKey.set(JSON.stringify(Object.values(labels)), labels);
    return labels;
  }
}
