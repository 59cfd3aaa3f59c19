import { fromCaller, invalidOption } from '../errors';
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

/** The metrics of each registry by prefix. Sources share them. */
const registered = new WeakMap<PrometheusRegistry, Map<string, PrometheusMetrics>>();

/**
 * Registers metrics of a connection, of the members of a pool, or with `'all'` of all connections of the process. Several
 * sources may share a registry: series with the same labels are added up.
 *
 * The labels of a series are those of the option `labels`; `target` (limited by `maxTargets`); and on some metrics
 * `state` or `reason`, which have few values. With `'all'`, a connection is included from its first `open` or `backoff`
 * until its `close`.
 *
 * @param client - The module `prom-client`, version 14 or later. This module does not import it.
 * @returns a function that removes the series of this source; the last one removes the metrics
 * @throws ConnectionError `ERR_INVALID_OPTION`, also if the names of the labels differ from those of an earlier source
 */
export function exportMetrics<Message>(
  source: MetricsSource<Message>,
  client: PrometheusClient,
  options: PrometheusOptions = {},
): () => void {
  const { registry, prefix, labels, maxTargets } = fromCaller(exportMetrics, () => {
    checkSource(source);
    checkClient(client);
    return resolveOptions(options, client.register);
  });

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
  const existing = byPrefix.get(prefix);
  // The registry may have been cleared, or the last source removed.
  if (existing?.isRegistered === true) return existing;
  const metrics = make();
  byPrefix.set(prefix, metrics);
  return metrics;
}

function checkClient(client: unknown): asserts client is PrometheusClient {
  const { Counter, Gauge, Histogram } = (client ?? {}) as Partial<PrometheusClient>;
  if ([Counter, Gauge, Histogram].some((each) => typeof each !== 'function')) {
    throw invalidOption('`client`', 'the module prom-client', client);
  }
}
