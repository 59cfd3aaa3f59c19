import type { Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';
import { firstWait } from './waits';

interface NatsConnection {
  status(): AsyncIterable<{ readonly type: string }>;
  closed(): Promise<unknown>;
  close(): Promise<void>;
  reconnect(): Promise<void>;
}

interface NatsOptions {
  servers: string;
  reconnectTimeWait: number;
  reconnectJitter?: number;
  reconnectJitterTLS?: number;
  reconnect: boolean;
  maxReconnectAttempts: number;
  waitOnFirstConnect: boolean;
  timeout?: number;
  pingInterval?: number;
  maxPingOut?: number;
  tls?: object;
}

interface Library {
  connect(options: NatsOptions): Promise<NatsConnection>;
}

class Nats extends Sessions {
  #connection: NatsConnection | undefined;
  #state = 'connecting';
  #wanted = true;

  constructor(library: Library, options: ClientOptions) {
    super();
    void this.#start(library, options);
  }

  get state(): string {
    return this.#state;
  }

  /** Whoever listens has an iterator of their own: what one throws is nothing to the others. */
  override emit(event: string, ...values: unknown[]): boolean {
    const listeners = this.listeners(event);
    for (const listener of listeners) queueMicrotask(() => void listener.call(this, ...values));
    return listeners.length > 0;
  }

  write(): never {
    throw new Error('nats sends messages, not bytes');
  }

  async disconnect(): Promise<void> {
    // Before it is connected there is nothing that could be closed.
    this.#wanted = false;
    await this.#connection?.close();
  }

  reconnect(): void {
    void this.#connection?.reconnect();
  }

  async #start(library: Library, options: ClientOptions): Promise<void> {
    const { port = 0, host = '127.0.0.1', tls, backoff, maxRetries, connectTimeout, heartbeat } = options;
    try {
      this.#connection = await library.connect({
        servers: `${host.includes(':') ? `[${host}]` : host}:${port}`,
        reconnectTimeWait: firstWait(options),
        ...(typeof backoff === 'object' && backoff.jitter === 'none' && { reconnectJitter: 0, reconnectJitterTLS: 0 }),
        reconnect: maxRetries !== 0,
        maxReconnectAttempts: maxRetries ?? -1,
        waitOnFirstConnect: maxRetries !== 0,
        ...(connectTimeout !== undefined && { timeout: connectTimeout }),
        ...(heartbeat && {
          pingInterval: heartbeat.interval,
          maxPingOut: Math.ceil((heartbeat.timeout ?? heartbeat.interval) / heartbeat.interval),
        }),
        // The servers of these cases speak TLS from the first byte.
        ...(tls && { tls: { ...(tls === true ? {} : tls), handshakeFirst: true } }),
      });
    } catch {
      this.#end();
      return;
    }
    void this.#connection.closed().then(() => this.#end());
    const statuses = this.#connection.status();
    this.#open();
    if (!this.#wanted) void this.#connection.close();
    for await (const { type } of statuses) {
      if (type === 'reconnect') this.#open();
      if (type === 'disconnect') {
        this.#state = 'disconnected';
        this.onClose();
      }
    }
  }

  #open(): void {
    this.#state = 'open';
    this.onConnect();
  }

  #end(): void {
    this.#state = 'closed';
    this.onClose();
    this.emit('close');
  }
}

/** The server's side of NATS on a new socket. */
function speakNats(socket: Socket): void {
  const info = { server_id: 'conformance', version: '2.9.10', proto: 1, max_payload: 1_048_576, headers: true };
  const tls = 'encrypted' in socket && { tls_required: true };
  if (socket.writable) socket.write(`INFO ${JSON.stringify({ ...info, ...tls })}\r\n`);
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    const lines = (received + chunk.toString('latin1')).split('\r\n');
    received = lines.pop() ?? '';
    for (const line of lines) if (line === 'PING' && socket.writable) socket.write('PONG\r\n');
  });
}

export function nats(): Adapter {
  const { version, load } = peer('nats');
  return {
    name: 'nats',
    version,
    features: new Set(['backoff options', 'max retries', 'connect timeout', 'tls', 'reconnect', 'liveness']),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new Nats(load() as Library, options),
    serve: speakNats,
  };
}
