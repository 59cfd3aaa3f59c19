import type { EventEmitter } from 'node:events';
import type { NetConnectOpts, Socket } from 'node:net';

import { load } from '../project';
import { type Connector, type Wait, type Writer, ignore } from './endpoint';

interface ConnmanConnection {
  backoff: number;
}

interface ConnmanPool {
  /** Its declaration swaps the names of the last two, but it calls them in this order. */
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

/** It doubles its wait before each use, and sets it to 50 ms when a session opens. */
export const connman: Connector = (address, handlers, wait) => {
  if (!('port' in address)) throw new Error('connman has no Unix sockets');
  const { port, host } = address;
  // `as`, here and below: the packages have no types.
  const pool = (load('connman') as Connman).createPool('benchmark');
  const onOpen = (socket: Socket) => {
    socket.setNoDelay();
    if (handlers.onDrain !== undefined) socket.on('drain', handlers.onDrain);
    handlers.onOpen(socket);
  };
  function onReset(this: ConnmanConnection): void {
    if (wait !== 'default') this.backoff = (this.backoff === 50 ? wait.first : wait.then) / 2;
    handlers.onWait?.();
  }
  return () => pool.addConnection(port, host, onOpen, handlers.onData, onReset);
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

export const reconnectNet: Connector = (address, handlers, wait) => {
  const library = load('reconnect-net') as ReconnectNet;
  const waits = wait === 'default' ? { initialDelay: 1e3, maxDelay: 30e3 } : exponential(wait);
  const onConnect = (stream: Socket) => {
    stream.on('data', handlers.onData);
    if (handlers.onDrain !== undefined) stream.on('drain', handlers.onDrain);
    handlers.onOpen(stream);
  };
  return () => {
    const connection = library(waits, onConnect).on('error', ignore);
    if (handlers.onWait !== undefined) connection.on('disconnect', handlers.onWait);
    connection.connect({ ...address, noDelay: true });
  };
};

type NetSocket = Pick<Socket, 'on' | 'write' | 'setNoDelay'>;

/** Its wait is always a second. */
export const netSocket: Connector = (address, handlers) => {
  const library = load('net-socket') as { connect(options: NetConnectOpts): NetSocket };
  return () => {
    const socket = library.connect(address);
    socket.setNoDelay();
    socket.on('connect', () => handlers.onOpen(socket)).on('data', handlers.onData);
    if (handlers.onDrain !== undefined) socket.on('drain', handlers.onDrain);
    if (handlers.onWait !== undefined) socket.on('close', handlers.onWait);
  };
};

type NetSocketReconnect = (
  options: NetConnectOpts & {
    readonly reconnectInterval?: number;
    readonly reconnectTimes: number;
    readonly reconnectOnCreate: boolean;
  },
) => Socket;

export const netSocketReconnect: Connector = (address, handlers, wait) => {
  const library = load('net-socket-reconnect') as NetSocketReconnect;
  const waits = { reconnectTimes: 1e9, reconnectOnCreate: true, ...intervals(wait) };
  function onConnect(this: Writer): void {
    handlers.onOpen(this);
  }
  return () => {
    const socket = library({ ...address, noDelay: true, ...waits });
    socket.on('connect', onConnect).on('data', handlers.onData).on('error', ignore);
    if (handlers.onDrain !== undefined) socket.on('drain', handlers.onDrain);
    if (handlers.onWait !== undefined) socket.on('close', handlers.onWait);
  };
};

/** It has one wait for all dials. */
function intervals(wait: Wait): { reconnectInterval?: number } {
  return wait === 'default' ? {} : { reconnectInterval: wait.first };
}

/** Each wait must be longer than the one before. */
function exponential({ first, then }: Exclude<Wait, 'default'>) {
  const last = Math.max(then, first + 1);
  return { type: 'exponential', initialDelay: first, maxDelay: last, factor: Math.max(2, Math.ceil(last / first)) };
}
