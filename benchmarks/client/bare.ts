import { type Socket, Socket as NetSocket, connect as dial } from 'node:net';

import { type Connector, type Ears, type Place, type Wait, type Writer, ignore } from './endpoint';

/** As {@link Ears}, told of sockets. */
interface SocketEars extends Omit<Ears, 'onOpen'> {
  readonly onOpen: (socket: Socket) => void;
}

/** Whether the session that a socket had last was one: a reset ends it with an error, as if it had never opened. */
const OPENED = Symbol('opened');

type Marked = Socket & { [OPENED]?: boolean };

/** Node's own socket in the loop that many write by hand: a new one a while after the last one closed. */
export const bare: Connector = (place, ears, wait) => looping(place, ears, wait);

function looping(place: Place, ears: SocketEars, wait: Wait): () => void {
  const options = { ...place, noDelay: true };

  function onConnect(this: Marked): void {
    this[OPENED] = true;
    ears.onOpen(this);
  }
  function onClose(this: Marked): void {
    ears.onWait?.();
    again(connect, this[OPENED] !== true, wait);
  }
  function connect(): void {
    listen(dial(options), ears, onConnect).on('close', onClose);
  }
  return connect;
}

/** The same, with one socket for all sessions. */
export const reused: Connector = (place, ears, wait) => {
  function onConnect(this: Marked): void {
    this[OPENED] = true;
    ears.onOpen(this);
  }
  return () => {
    const socket: Marked = listen(new NetSocket().setNoDelay(), ears, onConnect);
    const connect = () => void socket.connect(place);
    socket.on('close', () => {
      const failed = socket[OPENED] !== true;
      socket[OPENED] = false;
      ears.onWait?.();
      again(connect, failed, wait);
    });
    connect();
  };
};

/** What one has to do by hand for many small writes: keep them together until the end of the tick. */
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

/** A bare socket, corked by hand. */
export const corked: Connector = (place, ears, wait) =>
  looping(place, { ...ears, onOpen: (socket) => ears.onOpen(new Corked(socket)) }, wait);

function listen(socket: Socket, ears: SocketEars, onConnect: (this: Socket) => void): Socket {
  socket.on('connect', onConnect).on('data', ears.onData).on('error', ignore);
  return ears.onDrain === undefined ? socket : socket.on('drain', ears.onDrain);
}

/** Dials after a wait, where there is to be one. */
function again(connect: () => void, failed: boolean, wait: Wait): void {
  if (wait === 'default') connect();
  else setTimeout(connect, failed ? wait.then : wait.first);
}
