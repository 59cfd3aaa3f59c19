import type { EventEmitter } from 'node:events';
import type { Socket, SocketConstructorOpts } from 'node:net';

import type { Adapter, ClientOptions, Feature } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';

type Managed = Socket & { disconnect(): void };

interface Common {
  getConnection(port: number, host: string): { readonly sock: Managed };
}

interface Connman1 extends Common {
  connect(
    port: number,
    host: string,
    onOpen: () => void,
    onData: (chunk: Buffer) => void,
    onReset: () => void,
    options?: SocketConstructorOpts,
  ): void;
}

interface Connman2 extends Common {
  connect(
    port: number,
    host: string,
    handler: { onConnect(): void; onReconnect(): void; onData(chunk: Buffer): void; onReset(): void },
    options?: SocketConstructorOpts,
  ): void;
}

type Connect = (client: EventEmitter, port: number, host: string, options: SocketConstructorOpts) => Managed;

/** It has a callback for sessions that are lost, so that nothing is made of its socket's events but the end. */
class Connman extends Sessions {
  readonly #socket: Managed;

  constructor(connect: Connect, { port = 0, host = '127.0.0.1', socket = {} }: ClientOptions) {
    super();
    this.#socket = connect(this, port, host, socket);
    this.#socket.on('close', () => this.onClose());
  }

  get state(): string {
    return this.#socket.readyState;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    return this.#socket.write(chunk, callback);
  }

  disconnect(): Promise<void> {
    this.leave(this.#socket.readyState !== 'closed');
    this.#socket.disconnect();
    return Promise.resolve();
  }
}

/** The options go to the constructor of Node's socket, and the waits cannot be told. */
const features = new Set<Feature>(['bytes', 'socket options', 'write callback']);

/** It calls a dial that was refused a session that was lost, which many cases count. */
const sound = ['C1', 'C59'] as const;

export function connman1(): Adapter {
  const { version, load } = peer('connman-1');
  const connect: Connect = (client, port, host, options) => {
    // `as`: its interface as declared above.
    const library = load() as Connman1;
    library.connect(
      port,
      host,
      () => client.emit('open'),
      (chunk) => client.emit('data', chunk),
      () => void client.emit('reset'),
      options,
    );
    return library.getConnection(port, host).sock;
  };
  return { name: 'connman', version, features, sound, create: (options) => new Connman(connect, options) };
}

export function connman2(): Adapter {
  const { version, load } = peer('connman-2');
  const connect: Connect = (client, port, host, options) => {
    // `as`: its interface as declared above.
    const library = load() as Connman2;
    const handler = {
      onConnect: () => client.emit('open'),
      onReconnect: () => client.emit('open'),
      onData: (chunk: Buffer) => client.emit('data', chunk),
      onReset: () => client.emit('reset'),
    };
    library.connect(port, host, handler, options);
    return library.getConnection(port, host).sock;
  };
  return { name: 'connman', version, features, sound, create: (options) => new Connman(connect, options) };
}
