import { ReconnectingConnection } from 'reconnecting-connection';

import type { Adapter, Feature } from '../adapter';

const features = new Set<Feature>([
  'bytes',
  'backoff options',
  'backoff function',
  'backoff event',
  'max retries',
  'connect timeout',
  'unix',
  'tls',
  'lookup',
  'socket options',
  'restart',
  'reconnect',
  'queue',
  'write callback',
  'liveness',
  'unref',
  'pool',
  'own',
]);

/** The library under this roof needs no adapting. */
export function ours(): Adapter {
  return {
    name: 'reconnecting-connection',
    version: '',
    features,
    sound: ['C1', 'C2', 'C39'],
    create: (options) => new ReconnectingConnection(options),
  };
}
