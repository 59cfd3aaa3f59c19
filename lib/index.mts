// The same objects under `import` as under `require`: so there is one default registry, whoever loads it how.
export {
  ConnectionError,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  connmanBackoff,
  constantBackoff,
  defaultBackoff,
  dnsTargets,
  exponentialBackoff,
  logEvents,
  registry,
} from './index.js';
export type * from './index.js';
