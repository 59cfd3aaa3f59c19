import { type Holdable, Deadline, hold } from './deadline';
import { type Link, destroyLink, isSelfConnected, resetLink } from './dial';
import { toError } from './errors';
import { AttemptFailure, closedEarly, selfConnected } from './failure';

/** Who has a link watched. */
export interface WatchHost {
  readonly tag: string;
  /** Milliseconds within which a link that has failed is to close. */
  readonly closeTimeout: number;
  readonly isShakingHands: boolean;
  /** It is connected; TLS is yet to come. */
  onConnected(): void;
  /** It has failed and will close. */
  onBroken(): void;
  /** It is no good any more. */
  onFailure(failure: AttemptFailure): void;
}

/** Watches over a link until it is ready to be handed over. */
export class Watch implements Holdable {
  readonly link: Link;
  readonly #host: WatchHost;
  #held: boolean;
  #error: Error | undefined;
  #deadline: Deadline | undefined;

  constructor(link: Link, host: WatchHost, held: boolean) {
    this.link = link;
    this.#host = host;
    this.#held = held;
    link.on('error', this.#onError).on('close', this.onClose);
    if (!held) link.unref?.();
  }

  /** Looks at what the link has been through already. */
  start(): void {
    const { link } = this;
    if (link.destroyed) {
      // Streams of another make may leave it undefined.
      if (link.errored) this.#onError(link.errored);
      this.onClose();
    }
    if (link.connecting === true) link.once('connect', this.#onConnect);
    else this.#onConnect();
  }

  /** Leaves the link as it is. */
  stop(): void {
    this.#deadline?.clear();
    this.link.off('error', this.#onError).off('close', this.onClose).off('connect', this.#onConnect);
  }

  hold(held: boolean): void {
    this.#held = held;
    hold(held, this.link);
    this.#deadline?.hold(held);
  }

  /** A link that fails closes, and its `close` is what counts. One that does not is not waited for long. */
  readonly #onError = (error: Error): void => {
    if (this.#error !== undefined) return;
    this.#error = toError(error);
    this.#host.onBroken();
    this.#deadline = new Deadline(this.#host.closeTimeout, this.#held, this.onClose);
    destroyLink(this.link);
  };

  /** Before TLS begins: a socket that is connected to itself would be greeted with its own greeting. */
  readonly #onConnect = (): void => {
    if (!isSelfConnected(this.link)) return this.#host.onConnected();
    this.#host.onFailure(selfConnected(this.#host.tag));
    resetLink(this.link);
  };

  /** It has closed, or might as well have. */
  readonly onClose = (): void => {
    const { tag, isShakingHands } = this.#host;
    if (isShakingHands || this.#error === undefined) {
      this.#host.onFailure(closedEarly(tag, isShakingHands, this.#error));
    } else {
      this.#host.onFailure(new AttemptFailure('error', this.#error));
    }
  };
}
