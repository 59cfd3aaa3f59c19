import { type Refable, setRef } from '../timers/deadline';
import {
  type Transport,
  type TransportHandler,
  clearHandler,
  destroyTransport,
  enableEvents,
  ignore,
  setHandler,
} from '../socket/transport';

/** What opened several sockets, the first of which to connect is kept. */
export interface ContenderObserver {
  /** It has connected, and belongs to the observer from now on. */
  onConnect(contender: Contender): void;
  /** It has failed, and closes. */
  onError(contender: Contender, error: Error): void;
}

/** One of several sockets of an attempt, until one of them has connected. */
export class Contender implements Refable, TransportHandler {
  readonly transport: Transport;
  /** When it was opened, on the clock of `performance.now()`. */
  readonly since: number;
  readonly #observer: ContenderObserver;

  constructor(open: () => Transport, ref: boolean, observer: ContenderObserver) {
    this.since = performance.now();
    this.transport = open();
    this.#observer = observer;
    setHandler(this.transport, this);
    enableEvents(this.transport, 'connect');
    if (!ref) setRef(false, this.transport);
  }

  drop(): void {
    clearHandler(this.transport);
    destroyTransport(this.transport);
  }

  setRef(ref: boolean): void {
    setRef(ref, this.transport);
  }

  // Events of the socket.

  onConnect(): void {
    this.#observer.onConnect(this);
  }

  onError(error: Error): void {
    clearHandler(this.transport);
    this.#observer.onError(this, error);
  }

  readonly onClose = ignore;
}
