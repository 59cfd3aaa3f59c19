import { type Check, type Checks, checkObject, checkRecord, integer, readProperties } from '../options/checks';
import { fromCaller, invalidOption } from '../errors';
import { type MetricsSource, checkSource } from './observation';
import {
  type PrometheusClient,
  type PrometheusLabels,
  PrometheusMetrics,
  type PrometheusRegistry,
} from './prometheus-metrics';

export type { MetricsSource } from './observation';
export type {
  PrometheusClient,
  PrometheusConstructor,
  PrometheusCounter,
  PrometheusGauge,
  PrometheusHistogram,
  PrometheusLabels,
  PrometheusMetric,
  PrometheusMetricConfig,
  PrometheusRegistry,
} from './prometheus-metrics';

/** Options of {@link exportMetrics}. */
export interface PrometheusOptions {
  /** The registry for the metrics. Default: prom-client's `register`. */
  readonly registry?: PrometheusRegistry | undefined;
  /** The start of the metrics' names. Default: `'reconnecting_connection_'`. */
  readonly prefix?: string | undefined;
  /** Labels of all series of this source, such as `{ pool: 'cache' }`. Default: none. */
  readonly labels?: PrometheusLabels | undefined;
  /** Number of values of the label `target`; further targets share the value `'other'`. 0 for no such label. Default: 50. */
  readonly maxTargets?: number | undefined;
}

/** Labels that this module sets; `le` belongs to histograms. */
const RESERVED: readonly string[] = ['target', 'reason', 'state', 'le'];

const prefix: Check<string> = (value, name) => {
  if (typeof value === 'string' && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(value)) return value;
  throw invalidOption(name, 'the start of a Prometheus metric name (letters, digits, `_`, `:`)', value);
};

const labels: Check<PrometheusLabels> = (value, name) => {
  checkObject(value, name);
  const given = readProperties(value, 'labels').map(([label, text]): [string, string] => {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || RESERVED.includes(label)) {
      throw invalidOption(`each name in ${name}`, `a Prometheus label name other than ${RESERVED.join(', ')}`, label);
    }
    if (typeof text !== 'string') throw invalidOption(`option \`labels.${label}\``, 'a string', text);
    return [label, text];
  });
  return Object.fromEntries(given);
};

const registry: Check<PrometheusRegistry> = (value, name) => {
  const { getSingleMetric, removeSingleMetric } = (value ?? {}) as Partial<PrometheusRegistry>;
  if (typeof getSingleMetric !== 'function' || typeof removeSingleMetric !== 'function') {
    throw invalidOption(name, 'a Registry of prom-client', value);
  }
  return value as PrometheusRegistry; // `as`: it has both methods.
};

const checks: Checks<PrometheusOptions> = { registry, prefix, labels, maxTargets: integer(0) };

/** The metrics of each registry by prefix. Sources share them. */
const registered = new WeakMap<PrometheusRegistry, Map<string, PrometheusMetrics>>();

/**
 * Registers metrics of a connection, of the members of a pool, or with `'all'` of all connections of the process. Several
 * sources may share a registry: series with the same labels are added up.
 *
 * The labels of a series are those of the option `labels`, `target`, and on some metrics `state` or `reason`, which have
 * few values. With `'all'`, a connection is included from its first `open` or `backoff` until its `close`.
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
  const given = fromCaller(exportMetrics, () => {
    checkSource(source);
    checkClient(client);
    return checkRecord<PrometheusOptions>('', options, checks);
  });
  const { registry = client.register, prefix = 'reconnecting_connection_', labels = {}, maxTargets = 50 } = given;

  const byPrefix = registered.get(registry) ?? new Map<string, PrometheusMetrics>();
  registered.set(registry, byPrefix);
  const labelNames = [...Object.keys(labels), ...(maxTargets > 0 ? ['target'] : [])];
  let metrics = byPrefix.get(prefix);
  // The registry may have been cleared, or the last source removed.
  if (metrics?.isRegistered !== true) {
    metrics = new PrometheusMetrics(client, registry, prefix, labelNames);
    byPrefix.set(prefix, metrics);
  }
  return metrics.add(source, labels, labelNames, maxTargets);
}

function checkClient(client: unknown): asserts client is PrometheusClient {
  const { Counter, Gauge, Histogram } = (client ?? {}) as Partial<PrometheusClient>;
  if ([Counter, Gauge, Histogram].some((each) => typeof each !== 'function')) {
    throw invalidOption('`client`', 'the module prom-client', client);
  }
}
