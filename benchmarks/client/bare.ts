import { type OnReadOpts, type Socket, type TcpNetConnectOpts, connect } from 'node:net';

import { type Connector, type Handlers, type Own, type Wait, type Writer, ignore } from './endpoint';

/** Node's own socket, in ways that differ in what they cost. */
interface Way {
  readonly options?: Partial<TcpNetConnectOpts>;
  readonly onread?: (onData: Handlers['onData']) => OnReadOpts;
  readonly onOpen?: (socket: Socket) => unknown;
  readonly writerOf?: (socket: Socket) => Writer;
}

/** What `net.Socket` adds to its copy of the options: see lib/socket/open-socket.ts. */
const SHAPE = { allowHalfOpen: false, autoDestroy: true, decodeStrings: false, emitClose: false };

const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 30_000 };

const ways = {
  /** In the loop that many write by hand. */
  bare: {},
  shaped: { options: SHAPE },
  /** With the same options as this library, and the addresses of each session. */
  alike: { options: { ...SHAPE, ...KEEP_ALIVE }, onOpen: readAddresses },
  /** Corked until the end of the tick. */
  corked: { writerOf: (socket) => new Corked(socket) },
  freshReads: { onread: (onData) => reading(() => Buffer.allocUnsafeSlow(65_536), onData) },
  lentReads: { onread: (onData) => reading(Buffer.allocUnsafeSlow(65_536), onData) },
  largeReads: { onread: (onData) => reading(Buffer.allocUnsafeSlow(262_144), onData) },
} satisfies Record<string, Way>;

export type WayName = keyof typeof ways;

/** Set while a session of the socket is open: a reset ends it with an error, as a failed dial does. */
const OPENED = Symbol('opened');

type Marked = Socket & { [OPENED]?: boolean };

/** A new socket some time after the last one closed. */
export function bare(name: WayName, own: Own): Connector {
  const way: Way = ways[name];
  return (address, handlers, wait) => {
    const onread = way.onread?.(handlers.onData);
    const options = { ...way.options, ...address, noDelay: true, ...(onread !== undefined && { onread }) };

    function onConnect(this: Marked): void {
      this[OPENED] = true;
      way.onOpen?.(this);
      handlers.onOpen(way.writerOf?.(this) ?? this);
    }
    function onClose(this: Marked): void {
      handlers.onWait?.();
      again(dial, this[OPENED] !== true, wait);
    }
    function dial(): void {
      const socket = connect(own.options ? { ...options } : options);
      if (own.listeners) {
        socket.on('connect', () => onConnect.call(socket)).on('data', (chunk) => handlers.onData(chunk));
        socket.on('error', () => ignore()).on('close', () => onClose.call(socket));
      } else {
        // `onread` takes the place of this listener.
        socket.on('connect', onConnect).on('data', handlers.onData).on('error', ignore).on('close', onClose);
      }
      if (handlers.onDrain !== undefined) socket.on('drain', handlers.onDrain);
    }
    return dial;
  };
}

class Corked implements Writer {
  readonly #socket: Socket;
  #isCorked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(chunk: Uint8Array | string): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    return this.#socket.write(chunk);
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#socket.uncork();
  };
}

function reading(buffer: Buffer | (() => Buffer), onData: Handlers['onData']): OnReadOpts {
  return {
    buffer,
    callback: (size, from) => {
      // `as`: it is what `buffer` is, or has returned.
      onData((from as Buffer).subarray(0, size));
      return true;
    },
  };
}

function readAddresses(socket: Socket): unknown {
  return [socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort];
}

/** Dials after the wait; by default, at once. */
function again(dial: () => void, failed: boolean, wait: Wait): void {
  if (wait === 'default') dial();
  else setTimeout(dial, failed ? wait.then : wait.first);
}
