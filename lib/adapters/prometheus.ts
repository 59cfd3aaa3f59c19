import { invalidOption } from '../errors';
import { type MetricsSource, checkSource } from './observation';
import { type PrometheusOptions, type PrometheusRegistry, resolveOptions } from './prometheus-options';
import { type PrometheusClient, PrometheusMetrics } from './prometheus-metrics';
import { PrometheusSeries } from './prometheus-series';

export type { MetricsSource } from './observation';
export type { PrometheusLabels, PrometheusOptions, PrometheusRegistry } from './prometheus-options';
export type {
  PrometheusClient,
  PrometheusConstructor,
  PrometheusCounter,
  PrometheusGauge,
  PrometheusHistogram,
  PrometheusMetric,
  PrometheusMetricConfig,
} from './prometheus-metrics';

/** The metrics of each registry, by their prefix: sources share them. */
const registered = new WeakMap<PrometheusRegistry, Map<string, PrometheusMetrics>>();

/**
 * Registers metrics of a connection, of a pool's members, or with `'all'` of every connection of the process. Several
 * sources may share a registry: what has the same labels is added up.
 *
 * The labels are those of `labels`, `target` (bounded by `maxTargets`), and on some `state` or `reason`, of which there
 * are few. With `'all'`, a connection is known from its first `open` or `backoff` until its `close`.
 *
 * @param client - The module `prom-client`, version 14 or later: nothing is imported here.
 * @returns a function that removes this source's series, and with the last source the metrics
 * @throws ConnectionError `ERR_INVALID_OPTION`, also for labels of other names than an earlier source's
 */
export function exportMetrics<Message>(
  source: MetricsSource<Message>,
  client: PrometheusClient,
  options: PrometheusOptions = {},
): () => void {
  checkSource(source);
  checkClient(client);
  const { registry, prefix, labels, maxTargets } = resolveOptions(options, client.register);

  const metrics = metricsOf(registry, prefix, () => {
    const names = [...Object.keys(labels), ...(maxTargets > 0 ? ['target'] : [])];
    return new PrometheusMetrics(client, registry, prefix, names);
  });
  metrics.checkLabels(labels, maxTargets > 0);
  const series = new PrometheusSeries(source, metrics, labels, maxTargets);
  metrics.add(series);
  return () => {
    series.stop();
    metrics.remove(series);
  };
}

function metricsOf(registry: PrometheusRegistry, prefix: string, make: () => PrometheusMetrics): PrometheusMetrics {
  const byPrefix = registered.get(registry) ?? new Map<string, PrometheusMetrics>();
  registered.set(registry, byPrefix);
  const known = byPrefix.get(prefix);
  // The registry may have been cleared, or the last source removed.
  if (known?.isRegistered === true) return known;
  const made = make();
  byPrefix.set(prefix, made);
  return made;
}

function checkClient(client: unknown): asserts client is PrometheusClient {
  const { Counter, Gauge, Histogram } = (client ?? {}) as Partial<PrometheusClient>;
  for (const made of [Counter, Gauge, Histogram]) {
    if (typeof made !== 'function') throw invalidOption('`client`', 'the module prom-client', client);
  }
}
