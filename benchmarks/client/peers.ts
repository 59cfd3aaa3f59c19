import type { EventEmitter } from 'node:events';
import type { NetConnectOpts, Socket } from 'node:net';

import { load } from '../project';
import { type Connector, type Wait, type Writer, ignore } from './endpoint';

interface ConnmanConnection {
  backoff: number;
}

interface ConnmanPool {
  /** It names the last two the other way round, and then takes them for this. */
  addConnection(
    port: number,
    host: string,
    onOpen: (socket: Socket) => void,
    onData: (chunk: Buffer) => void,
    onReset: (this: ConnmanConnection) => void,
  ): void;
}

interface Connman {
  createPool(name: string): ConnmanPool;
}

/** It doubles its wait before it uses it, and sets it to 50 when a session opens. */
export const connman: Connector = (place, ears, wait) => {
  if (!('port' in place)) throw new Error('It knows no Unix sockets');
  const { port, host } = place;
  // `as`: its interface as declared above, and so below.
  const pool = (load('connman') as Connman).createPool('benchmark');
  const onOpen = (socket: Socket) => {
    socket.setNoDelay();
    if (ears.onDrain !== undefined) socket.on('drain', ears.onDrain);
    ears.onOpen(socket);
  };
  function onReset(this: ConnmanConnection): void {
    if (wait !== 'default') this.backoff = (this.backoff === 50 ? wait.first : wait.then) / 2;
    ears.onWait?.();
  }
  return () => pool.addConnection(port, host, onOpen, ears.onData, onReset);
};

interface Reconnecting extends EventEmitter {
  connect(options: NetConnectOpts): Reconnecting;
}

type ReconnectNet = (
  options: {
    readonly type?: string;
    readonly initialDelay: number;
    readonly maxDelay: number;
    readonly factor?: number;
  },
  onConnect: (stream: Socket) => void,
) => Reconnecting;

export const reconnectNet: Connector = (place, ears, wait) => {
  const library = load('reconnect-net') as ReconnectNet;
  const waits = wait === 'default' ? { initialDelay: 1e3, maxDelay: 30e3 } : exponential(wait);
  const onConnect = (stream: Socket) => {
    stream.on('data', ears.onData);
    if (ears.onDrain !== undefined) stream.on('drain', ears.onDrain);
    ears.onOpen(stream);
  };
  return () => {
    const connection = library(waits, onConnect).on('error', ignore);
    if (ears.onWait !== undefined) connection.on('disconnect', ears.onWait);
    connection.connect({ ...place, noDelay: true });
  };
};

type NetSocket = Pick<Socket, 'on' | 'write' | 'setNoDelay'>;

/** Its wait is a second and cannot be told. */
export const netSocket: Connector = (place, ears) => {
  const library = load('net-socket') as { connect(options: NetConnectOpts): NetSocket };
  return () => {
    const socket = library.connect(place);
    socket.setNoDelay();
    socket.on('connect', () => ears.onOpen(socket)).on('data', ears.onData);
    if (ears.onDrain !== undefined) socket.on('drain', ears.onDrain);
    if (ears.onWait !== undefined) socket.on('close', ears.onWait);
  };
};

type NetSocketReconnect = (
  options: NetConnectOpts & {
    readonly reconnectInterval?: number;
    readonly reconnectTimes: number;
    readonly reconnectOnCreate: boolean;
  },
) => Socket;

export const netSocketReconnect: Connector = (place, ears, wait) => {
  const library = load('net-socket-reconnect') as NetSocketReconnect;
  const waits = { reconnectTimes: 1e9, reconnectOnCreate: true, ...intervals(wait) };
  function onConnect(this: Writer): void {
    ears.onOpen(this);
  }
  return () => {
    const socket = library({ ...place, noDelay: true, ...waits });
    socket.on('connect', onConnect).on('data', ears.onData).on('error', ignore);
    if (ears.onDrain !== undefined) socket.on('drain', ears.onDrain);
    if (ears.onWait !== undefined) socket.on('close', ears.onWait);
  };
};

/** It knows one wait. */
function intervals(wait: Wait): { reconnectInterval?: number } {
  return wait === 'default' ? {} : { reconnectInterval: wait.first };
}

/** It wants each wait to be longer than the one before. */
function exponential({ first, then }: Exclude<Wait, 'default'>) {
  const last = Math.max(then, first + 1);
  return { type: 'exponential', initialDelay: first, maxDelay: last, factor: Math.max(2, Math.ceil(last / first)) };
}
