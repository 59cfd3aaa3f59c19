import {
  type Check,
  type Checks,
  type Complete,
  checkObject,
  checkRecord,
  integer,
  readProperties,
} from '../options/checks';
import { invalidOption } from '../errors';

/** Labels and their values. */
export type PrometheusLabels = Readonly<Record<string, string>>;

/** The part of prom-client's `Registry` that is used. */
export interface PrometheusRegistry {
  /** The metric of that name, or undefined. */
  getSingleMetric(name: string): unknown;
  /** Removes the metric of that name. */
  removeSingleMetric(name: string): void;
}

/** Options of {@link exportMetrics}. */
export interface PrometheusOptions {
  /** The registry for the metrics. Default: prom-client's `register`. */
  readonly registry?: PrometheusRegistry | undefined;
  /** The start of the metrics' names. Default: `'reconnecting_connection_'`. */
  readonly prefix?: string | undefined;
  /** Labels of all series of this source, such as `{ pool: 'cache' }`. Default: none. */
  readonly labels?: PrometheusLabels | undefined;
  /**
   * Number of targets that have their own value of the label `target`, such as `10.0.0.1:6379`; all further ones share
   * the value `'other'`. 0 for no such label. Default: 50.
   */
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

/** Checks the options and fills in the defaults. */
export function resolveOptions(options: unknown, fallback: PrometheusRegistry): Complete<PrometheusOptions> {
  const given = checkRecord<PrometheusOptions>('', options, checks);
  return { registry: fallback, prefix: 'reconnecting_connection_', labels: {}, maxTargets: 50, ...given };
}
