import type { Socket } from 'node:net';

import type { ConnectionOptions } from 'reconnecting-connection';

/** What a case may need that not every library has. What a library lacks, it is not asked. */
export type Feature =
  /** Raw bytes: `data` is heard, and `write()` sends. */
  | 'bytes'
  /** `backoff`'s `initialDelay`, `maxDelay` and `multiplier`, or the nearest that the library has. */
  | 'backoff options'
  /** `backoff` is a function. */
  | 'backoff function'
  /** `backoff` is heard, with `delay`. */
  | 'backoff event'
  /** `maxRetries`, and then `close`. */
  | 'max retries'
  /** `connectTimeout`. */
  | 'connect timeout'
  /** `path`. */
  | 'unix'
  /** `tls`. */
  | 'tls'
  /** `socket.lookup`. */
  | 'lookup'
  /** `socket.noDelay`, `socket.keepAlive` and `socket.keepAliveInitialDelay`. */
  | 'socket options'
  /** `connect()` starts a client again that was disconnected. */
  | 'restart'
  /** `reconnect()` drops a session or cuts a wait short. */
  | 'reconnect'
  /** What is written while there is no session waits for the next one. */
  | 'queue'
  /** `write()` tells its callback. */
  | 'write callback'
  /** `idleTimeout` or `heartbeat`: something that notices a silent peer; the adapter sets it from `heartbeat`. */
  | 'liveness'
  /** `unref()`. */
  | 'unref'
  /** Many connections under one roof: `pool()`. */
  | 'pool'
  /** What only this library has: its whole interface, `lab.own()`. */
  | 'own';

/** Where to connect to, and how: the options of this library, of which an adapter passes on what its features say. */
export type ClientOptions = ConnectionOptions;

/** What all libraries can be asked. Where one has no such event, the adapter makes it of what there is. */
export interface ClientEvents {
  /** A session is there. */
  open: () => void;
  /** Bytes came. */
  data: (chunk: Buffer) => void;
  /** A session ended. */
  reset: () => void;
  /** A wait of `delay` milliseconds begins. */
  backoff: (info: { readonly delay: number; readonly attempt?: number; readonly error?: Error }) => void;
  /** It is over for good. */
  close: () => void;
}

/** A connection of whatever library. */
export interface Client {
  on(event: keyof ClientEvents, listener: (value?: unknown) => void): unknown;
  /** As the library tells it: `'open'` is the word for a session that can be used. */
  readonly state: string;
  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean;
  /** Resolves when the library says so, or at once where it says nothing. */
  disconnect(): Promise<unknown>;
  connect?(): void;
  reconnect?(): void;
  markHealthy?(): void;
  unref?(): void;
}

/** One library. */
export interface Adapter {
  /** As the table calls it, without its version. */
  readonly name: string;
  readonly version: string;
  readonly features: ReadonlySet<Feature>;
  /** Cases that the library is known to pass: when one fails, it is the adapter that is broken. */
  readonly sound: readonly `C${number}`[];
  /** Starts a client at once. */
  create(options: ClientOptions): Client;
  /** Speaks the server's side of its protocol on a new socket, for clients that do not call a session open before that. */
  serve?(socket: Socket): void;
}
