import { type Refable, Deadline, setRef } from '../timers/deadline';
import { toError } from '../errors';
import { AttemptFailure, closedEarly, selfConnected } from './failure';
import {
  type TransportHandler,
  type Transport,
  destroyTransport,
  setHandler,
  isHandledBy,
  isSelfConnected,
  clearHandler,
  enableEvents,
  resetTransport,
} from '../socket/transport';

/** Who has a link watched. */
export interface WatchHost {
  readonly tag: string;
  /** Milliseconds within which a link that has failed is to close. */
  readonly closeTimeout: number;
  readonly isShakingHands: boolean;
  /** It is connected; TLS is yet to come. */
  onConnected(): void;
  /** It is connected, and encrypted where it is to be. */
  onReady(link: Transport): void;
  /** It has failed and will close. */
  onBroken(): void;
  /** It is no good any more. */
  onFailure(failure: AttemptFailure): void;
}

/** Watches over a link until it is handed over. */
export class TransportSetup implements Refable, TransportHandler {
  readonly transport: Transport;
  readonly #host: WatchHost;
  #held: boolean;
  #error: Error | undefined;
  #deadline: Deadline | undefined;

  constructor(link: Transport, host: WatchHost, held: boolean) {
    this.transport = link;
    this.#host = host;
    this.#held = held;
    setHandler(link, this);
    if (!held) link.unref?.();
  }

  /** Looks at what the link has been through already. */
  start(): void {
    const { transport } = this;
    if (transport.destroyed) {
      // Streams of another make may leave it undefined.
      if (transport.errored) this.onError(transport.errored);
      this.onClose();
      return;
    }
    if (transport.secureConnecting === true) enableEvents(transport, 'secureConnect');
    if (transport.connecting === true) enableEvents(transport, 'connect');
    else this.onConnect();
  }

  /** Leaves the link as it is, to whoever hears it by now. */
  stop(): void {
    this.#deadline?.clear();
    if (isHandledBy(this.transport, this)) clearHandler(this.transport);
  }

  setRef(held: boolean): void {
    this.#held = held;
    setRef(held, this.transport);
    this.#deadline?.setRef(held);
  }

  /** Before TLS begins: a socket that is connected to itself would be greeted with its own greeting. */
  onConnect(): void {
    const { transport } = this;
    if (isSelfConnected(transport)) {
      resetTransport(transport);
      this.#host.onFailure(selfConnected(this.#host.tag));
      return;
    }
    this.#host.onConnected();
    if (transport.secureConnecting !== true) this.#host.onReady(transport);
  }

  onSecure(): void {
    this.#host.onReady(this.transport);
  }

  /** A link that fails closes, and its `close` is what counts. One that does not is not waited for long. */
  onError(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = toError(error);
    this.#host.onBroken();
    this.#deadline = new Deadline(this.#host.closeTimeout, this.#held, () => this.onClose());
    destroyTransport(this.transport);
  }

  /** It has closed, or might as well have. */
  onClose(): void {
    const { tag, isShakingHands } = this.#host;
    if (isShakingHands || this.#error === undefined) {
      this.#host.onFailure(closedEarly(tag, isShakingHands, this.#error));
    } else {
      this.#host.onFailure(new AttemptFailure('error', this.#error));
    }
  }
}
