import { type Holdable, Deadline, hold } from './deadline';
import { toError } from './errors';
import { AttemptFailure, closedEarly, selfConnected } from './failure';
import { type Ear, type Link, destroyLink, hear, isHeardBy, isSelfConnected, leave, listen, resetLink } from './link';

/** Who has a link watched. */
export interface WatchHost {
  readonly tag: string;
  /** Milliseconds within which a link that has failed is to close. */
  readonly closeTimeout: number;
  readonly isShakingHands: boolean;
  /** It is connected; TLS is yet to come. */
  onConnected(): void;
  /** It is connected, and encrypted where it is to be. */
  onReady(link: Link): void;
  /** It has failed and will close. */
  onBroken(): void;
  /** It is no good any more. */
  onFailure(failure: AttemptFailure): void;
}

/** Watches over a link until it is handed over. */
export class Watch implements Holdable, Ear {
  readonly link: Link;
  readonly #host: WatchHost;
  #held: boolean;
  #error: Error | undefined;
  #deadline: Deadline | undefined;

  constructor(link: Link, host: WatchHost, held: boolean) {
    this.link = link;
    this.#host = host;
    this.#held = held;
    hear(link, this);
    if (!held) link.unref?.();
  }

  /** Looks at what the link has been through already. */
  start(): void {
    const { link } = this;
    if (link.destroyed) {
      // Streams of another make may leave it undefined.
      if (link.errored) this.onError(link.errored);
      this.onClose();
      return;
    }
    if (link.secureConnecting === true) listen(link, 'secureConnect');
    if (link.connecting === true) listen(link, 'connect');
    else this.onConnect();
  }

  /** Leaves the link as it is, to whoever hears it by now. */
  stop(): void {
    this.#deadline?.clear();
    if (isHeardBy(this.link, this)) leave(this.link);
  }

  hold(held: boolean): void {
    this.#held = held;
    hold(held, this.link);
    this.#deadline?.hold(held);
  }

  /** Before TLS begins: a socket that is connected to itself would be greeted with its own greeting. */
  onConnect(): void {
    const { link } = this;
    if (isSelfConnected(link)) {
      resetLink(link);
      this.#host.onFailure(selfConnected(this.#host.tag));
      return;
    }
    this.#host.onConnected();
    if (link.secureConnecting !== true) this.#host.onReady(link);
  }

  onSecure(): void {
    this.#host.onReady(this.link);
  }

  /** A link that fails closes, and its `close` is what counts. One that does not is not waited for long. */
  onError(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = toError(error);
    this.#host.onBroken();
    this.#deadline = new Deadline(this.#host.closeTimeout, this.#held, () => this.onClose());
    destroyLink(this.link);
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
