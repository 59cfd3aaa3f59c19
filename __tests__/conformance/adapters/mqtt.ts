import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';
import { firstWait } from './waits';

interface MqttClient extends EventEmitter {
  readonly connected: boolean;
  readonly disconnecting: boolean;
  readonly reconnecting: boolean;
  endAsync(force: boolean): Promise<void>;
  reconnect(): void;
}

interface Library {
  /** Beside these, the options of `tls.connect`. */
  connect(options: {
    protocol: 'mqtt' | 'mqtts';
    reconnectPeriod: number;
    host?: string;
    port?: number;
    path?: string;
    unixSocket?: boolean;
    connectTimeout?: number;
    keepalive?: number;
  }): MqttClient;
}

class Mqtt extends Sessions {
  readonly #client: MqttClient;

  constructor(library: Library, options: ClientOptions) {
    super();
    const { port, host = '127.0.0.1', path, tls, connectTimeout, heartbeat } = options;
    this.#client = library.connect({
      ...(path === undefined ? { host, ...(port !== undefined && { port }) } : { path, unixSocket: true }),
      ...(tls && (tls === true ? {} : tls)),
      protocol: tls ? 'mqtts' : 'mqtt',
      reconnectPeriod: firstWait(options),
      ...(connectTimeout !== undefined && { connectTimeout }),
      // Whole seconds.
      ...(heartbeat && { keepalive: Math.ceil(heartbeat.interval / 1000) }),
    });
    this.#client.on('connect', () => this.onConnect());
    this.#client.on('close', () => this.onClose());
    this.#client.on('end', () => this.emit('close'));
    this.#client.on('error', () => {});
  }

  get state(): string {
    if (this.#client.connected) return 'open';
    if (this.#client.disconnecting) return 'disconnecting';
    return this.#client.reconnecting ? 'reconnecting' : 'connecting';
  }

  write(): never {
    throw new Error('mqtt sends messages, not bytes');
  }

  disconnect(): Promise<void> {
    // Without force it leaves a socket that is not connected yet, or whose peer does not answer, as it is.
    return this.#client.endAsync(true);
  }

  connect(): void {
    this.#client.reconnect();
  }

  reconnect(): void {
    this.#client.reconnect();
  }
}

/** The server's side of MQTT on a new socket. All that matters here is shorter than 128 bytes, so that a length is a byte. */
function speakMqtt(socket: Socket): void {
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    for (let size = packetSize(received); received.length >= size; size = packetSize(received)) {
      const reply = REPLIES.get(received[0]! >> 4);
      received = received.subarray(size);
      if (reply !== undefined && socket.writable) socket.write(reply);
    }
  });
}

/** The bytes of the first packet: type, length, and as many more as that says. */
function packetSize(bytes: Buffer): number {
  return bytes.length < 2 ? 2 : 2 + bytes[1]!;
}

/** By the type of the packet: CONNACK to a CONNECT, PINGRESP to a PINGREQ. */
const REPLIES = new Map([
  [1, Buffer.of(0x20, 2, 0, 0)],
  [12, Buffer.of(0xd0, 0)],
]);

export function mqtt(): Adapter {
  const { version, load } = peer('mqtt');
  return {
    name: 'mqtt',
    version,
    features: new Set(['backoff options', 'connect timeout', 'unix', 'tls', 'restart', 'reconnect', 'liveness']),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new Mqtt(load() as Library, options),
    serve: speakMqtt,
  };
}
