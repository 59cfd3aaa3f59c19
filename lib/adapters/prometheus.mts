export { exportMetrics } from './prometheus.js';
export type * from './prometheus.js';
