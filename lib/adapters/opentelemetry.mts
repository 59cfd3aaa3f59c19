export { exportMetrics } from './opentelemetry.js';
export type * from './opentelemetry.js';
