import type { Adapter } from '../adapter';
import { bare } from './bare';
import { connman1, connman2 } from './connman';
import { ioredis } from './ioredis';
import { mqtt } from './mqtt';
import { nats } from './nats';
import { netReconnect } from './net-reconnect';
import { netSocket } from './net-socket';
import { netSocketReconnect } from './net-socket-reconnect';
import { ours } from './ours';
import { reconnectNet } from './reconnect-net';
import { redis } from './redis';

/** Every library that the table compares, ours first. They are made when they are asked for: peers are installed apart. */
export const adapters: Readonly<Record<string, () => Adapter>> = {
  'reconnecting-connection': ours,
  bare,
  'connman-1': connman1,
  'connman-2': connman2,
  'reconnect-net': reconnectNet,
  'net-socket': netSocket,
  'net-reconnect': netReconnect,
  'net-socket-reconnect': netSocketReconnect,
  ioredis,
  redis,
  nats,
  mqtt,
};
