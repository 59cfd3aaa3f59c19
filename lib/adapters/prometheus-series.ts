import type { StateName } from 'reconnecting-connection';

import { Bounded } from './bounded';
import { type MetricsSource, Observation } from './observation';
import type { PrometheusLabels } from './prometheus-options';
import type { PrometheusMetric, PrometheusMetrics, Series } from './prometheus-metrics';

/** All of them, so that a state in which there is no connection shows as 0. */
const STATES: readonly StateName[] = ['idle', 'connecting', 'open', 'backoff', 'closing', 'closed'];

/** The series of one source. */
export class PrometheusSeries implements Series {
  readonly #metrics: PrometheusMetrics;
  readonly #labels: PrometheusLabels;
  readonly #targets: Bounded | undefined;
  readonly #observation: Observation;
  readonly #made = new Map<PrometheusMetric, Map<string, PrometheusLabels>>();

  constructor(source: MetricsSource, metrics: PrometheusMetrics, labels: PrometheusLabels, maxTargets: number) {
    this.#metrics = metrics;
    this.#labels = labels;
    this.#targets = maxTargets === 0 ? undefined : new Bounded(maxTargets, 'other');
    const { counters, histograms } = metrics;
    this.#observation = new Observation(source, {
      add: (name, amount, tag, cause) => {
        // The other counters have no such label.
        const labels = this.#labelsOf(tag, cause && { reason: cause.reason });
        counters[name].inc(this.#keep(counters[name], labels), amount);
      },
      record: (name, seconds, tag) => {
        histograms[name].observe(this.#keep(histograms[name], this.#labelsOf(tag)), seconds);
      },
    });
  }

  get all(): Iterable<readonly [PrometheusMetric, ReadonlyMap<string, PrometheusLabels>]> {
    return this.#made;
  }

  has(metric: PrometheusMetric, key: string): boolean {
    return this.#made.get(metric)?.has(key) === true;
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
    const held = this.#observation.waiting;
    if (held !== undefined) waiting.inc(this.#labels, held);
  }

  stop(): void {
    this.#observation.stop();
  }

  #labelsOf(tag: string, more?: PrometheusLabels): PrometheusLabels {
    return { ...this.#labels, ...(this.#targets && { target: this.#targets.of(tag) }), ...more };
  }

  /** Remembers a series, so that it can be removed. */
  #keep(metric: PrometheusMetric, labels: PrometheusLabels): PrometheusLabels {
    const byKey = this.#made.get(metric) ?? new Map<string, PrometheusLabels>();
    this.#made.set(metric, byKey);
    byKey.set(JSON.stringify(Object.values(labels)), labels);
    return labels;
  }
}
