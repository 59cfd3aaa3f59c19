import { type Socket, Socket as NetSocket, connect as dial } from 'node:net';

import { type Address, type Connector, type Handlers, type Wait, type Writer, ignore } from './endpoint';

/** As {@link Handlers}, but `onOpen` gets a socket. */
interface SocketHandlers extends Omit<Handlers, 'onOpen'> {
  readonly onOpen: (socket: Socket) => void;
}

/** Set while a session of the socket is open: a reset ends it with an error, as a failed dial does. */
const OPENED = Symbol('opened');

type Marked = Socket & { [OPENED]?: boolean };

/** Node's own socket in the loop that many write by hand: a new socket some time after the last one closed. */
export const bare: Connector = (address, handlers, wait) => looping(address, handlers, wait);

function looping(address: Address, handlers: SocketHandlers, wait: Wait): () => void {
  const options = { ...address, noDelay: true };

  function onConnect(this: Marked): void {
    this[OPENED] = true;
    handlers.onOpen(this);
  }
  function onClose(this: Marked): void {
    handlers.onWait?.();
    again(connect, this[OPENED] !== true, wait);
  }
  function connect(): void {
    listen(dial(options), handlers, onConnect).on('close', onClose);
  }
  return connect;
}

/** The same, with one socket for all sessions. */
export const reused: Connector = (address, handlers, wait) => {
  function onConnect(this: Marked): void {
    this[OPENED] = true;
    handlers.onOpen(this);
  }
  return () => {
    const socket: Marked = listen(new NetSocket().setNoDelay(), handlers, onConnect);
    const connect = () => void socket.connect(address);
    socket.on('close', () => {
      const failed = socket[OPENED] !== true;
      socket[OPENED] = false;
      handlers.onWait?.();
      again(connect, failed, wait);
    });
    connect();
  };
};

/** A bare socket, corked by hand until the end of the tick. */
export const corked: Connector = (address, handlers, wait) =>
  looping(address, { ...handlers, onOpen: (socket) => handlers.onOpen(new Corked(socket)) }, wait);

class Corked implements Writer {
  readonly #socket: Socket;
  #isCorked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    return this.#socket.write(chunk, callback);
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#socket.uncork();
  };
}

function listen(socket: Socket, handlers: SocketHandlers, onConnect: (this: Socket) => void): Socket {
  socket.on('connect', onConnect).on('data', handlers.onData).on('error', ignore);
  return handlers.onDrain === undefined ? socket : socket.on('drain', handlers.onDrain);
}

/** Dials after the wait; by default, at once. */
function again(connect: () => void, failed: boolean, wait: Wait): void {
  if (wait === 'default') connect();
  else setTimeout(connect, failed ? wait.then : wait.first);
}
