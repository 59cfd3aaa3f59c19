import { EventEmitter } from 'node:events';
import { type Socket, connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { Adapter, Client, ClientOptions } from '../adapter';

/** The loop that many write by hand: a new socket a while after the last one closed, with delays that double. */
class Bare extends EventEmitter implements Client {
  readonly #options: ClientOptions;
  #socket: Socket;
  #delay: number;
  #timer: NodeJS.Timeout | undefined;
  #wanted = true;

  constructor(options: ClientOptions) {
    super();
    this.#options = options;
    this.#delay = this.#initialDelay;
    this.#socket = this.#dial();
  }

  get state(): string {
    return this.#socket.readyState;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    return this.#socket.write(chunk, callback);
  }

  disconnect(): Promise<void> {
    this.#wanted = false;
    // In a wait there is no socket whose close would be the end.
    if (this.#timer !== undefined) process.nextTick(() => this.emit('close'));
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#socket.end();
    return Promise.resolve();
  }

  unref(): void {
    this.#timer?.unref();
    this.#socket.unref();
  }

  get #initialDelay(): number {
    const { backoff } = this.#options;
    return typeof backoff === 'object' ? (backoff.initialDelay ?? 100) : 100;
  }

  get #maxDelay(): number {
    const { backoff } = this.#options;
    return typeof backoff === 'object' ? (backoff.maxDelay ?? 10_000) : 10_000;
  }

  #dial(): Socket {
    const { port = 0, host = '127.0.0.1', path, tls, socket: how } = this.#options;
    const target = path === undefined ? { ...how, port, host } : { path };
    const socket =
      tls === undefined || tls === false ? connectTcp(target) : connectTls({ ...target, ...(tls === true ? {} : tls) });
    let opened = false;
    socket.on(tls === undefined || tls === false ? 'connect' : 'secureConnect', () => {
      opened = true;
      this.#delay = this.#initialDelay;
      this.emit('open');
    });
    socket.on('data', (chunk: Buffer) => this.emit('data', chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (opened) this.emit('reset');
      if (!this.#wanted) {
        this.emit('close');
        return;
      }
      const delay = this.#delay;
      this.#delay = Math.min(delay * 2, this.#maxDelay);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#socket = this.#dial();
      }, delay);
      this.emit('backoff', { delay });
    });
    return socket;
  }
}

export function bare(): Adapter {
  return {
    name: 'net.Socket in a loop',
    version: process.versions.node,
    features: new Set([
      'bytes',
      'backoff options',
      'backoff event',
      'unix',
      'tls',
      'lookup',
      'socket options',
      'write callback',
      'unref',
    ]),
    sound: ['C1', 'C2', 'C39'],
    create: (options) => new Bare(options),
  };
}
