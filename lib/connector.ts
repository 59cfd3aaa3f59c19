import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Holdable } from './deadline';
import { destroyLink, ignore, openSocket, secure, whenReady } from './dial';
import { AttemptFailure } from './failure';
import { type Dialled, type HedgeHost, Hedge } from './hedge';
import { readerFor } from './reader';
import type { Settings } from './settings';
import { checkStream } from './streams';
import type { ResolvedTarget } from './target';
import { type WatchHost, Watch } from './watch';

/** Who wants a link. */
export interface ConnectorHost {
  readonly tag: string;
  readonly settings: Settings;
  /** Aborted when the link is not wanted any more. */
  readonly signal: AbortSignal;
  isOver(): boolean;
  readonly isShakingHands: boolean;
  /** Milliseconds that a socket may go without an answer before another beside it is worth its while. */
  readonly patience: number | undefined;
  /** Throws when it is over: what a step waited for may come in the very tick in which all ends. */
  checkOn(): void;
  /** What `work` brings; rejects as soon as it is over. */
  unlessOver<T>(work: T | PromiseLike<T>): Promise<T>;
  /** The link is connected, `took` milliseconds after it was dialled; TLS is yet to come. */
  onConnected(took: number): void;
  /** The link has failed, and will close. */
  onBroken(): void;
  onFailure(failure: AttemptFailure): void;
}

/** Brings about one link to a target, connected and encrypted, and watches over it until it is handed over. */
export class Connector implements Holdable, WatchHost, HedgeHost {
  readonly #target: ResolvedTarget;
  readonly #host: ConnectorHost;
  #held: boolean;
  #dialled: Dialled | undefined;
  #watch: Watch | undefined;
  #hedge: Hedge | undefined;
  /** What a custom `dial` promised. */
  #promised: Promise<Duplex> | undefined;
  /** When it began to dial; undefined from the moment it is connected. */
  #since: number | undefined;
  #othersSince = 0;
  #tellReady = ignore;
  #stopWaiting = ignore;

  constructor(target: ResolvedTarget, host: ConnectorHost, held: boolean) {
    this.#target = target;
    this.#host = host;
    this.#held = held;
  }

  /** Milliseconds since it began to dial; undefined when it has connected since. */
  get dialledFor(): number | undefined {
    return this.#since === undefined ? undefined : performance.now() - this.#since;
  }

  /** Dials. To be called once. */
  async connect(): Promise<Dialled> {
    const { settings } = this.#host;
    this.#since = performance.now();
    if (settings.dial === undefined) {
      const dialled = this.#open();
      this.#prepareHedge(dialled);
      return this.#ready(dialled);
    }
    this.#promised = Promise.resolve(settings.dial(this.#target, this.#host.signal));
    // `dial` itself may have ended it all, when there was nothing yet to let go of.
    if (this.#host.isOver()) this.#dropPromised();
    const link = checkStream(await this.#host.unlessOver(this.#promised), 'what `dial` returns');
    const dialled = await this.#ready({ link, reader: undefined });
    if (this.#target.tls === undefined || dialled.link.encrypted === true) return dialled;
    return this.#ready({ link: secure(link, this.#target), reader: undefined });
  }

  /** Leaves the link to whom it was handed over. */
  stop(): void {
    this.#watch?.stop();
    this.#hedge?.clear();
  }

  /** Leaves nothing behind, not even a stream that a custom `dial` brings too late. */
  destroy(): void {
    this.stop();
    if (this.#dialled !== undefined) destroyLink(this.#dialled.link);
    this.#dropPromised();
  }

  /** A handshake may leave a link that ended or broke meanwhile, or that no longer gives bytes. */
  async checkUsable({ link }: Dialled): Promise<void> {
    if (link.readableEncoding !== null) throw new TypeError('An encoding was set on the socket, which must give bytes');
    if (!link.destroyed && !link.readableEnded) return;
    this.#watch?.onClose();
    await this.#host.unlessOver(new Promise<never>(ignore));
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#watch?.hold(held);
    this.#hedge?.hold(held);
  }

  // What the watch needs, and tells.

  get tag(): string {
    return this.#host.tag;
  }

  get closeTimeout(): number {
    return this.#host.settings.closeTimeout;
  }

  get isShakingHands(): boolean {
    return this.#host.isShakingHands;
  }

  onConnected(): void {
    const took = this.dialledFor;
    this.#since = undefined;
    this.#hedge?.clear();
    // TLS over a stream that was connected before has nothing to add.
    if (took !== undefined) this.#host.onConnected(took);
  }

  onBroken(): void {
    this.#hedge?.clear();
    this.#host.onBroken();
  }

  onFailure(failure: AttemptFailure): void {
    this.#host.onFailure(failure);
  }

  // What a hedge needs, and tells.

  openOther(): Dialled {
    this.#othersSince = performance.now();
    return this.#open();
  }

  onWin(other: Dialled): void {
    if (this.#dialled !== undefined) destroyLink(this.#dialled.link);
    this.#stopWaiting();
    this.#since = this.#othersSince;
    this.#watchOver(other);
  }

  onRefused(error: Error): void {
    this.#host.onFailure(new AttemptFailure('error', error));
  }

  #open(): Dialled {
    const { settings } = this.#host;
    const reader = readerFor(settings, this.#target);
    return { link: openSocket(this.#target, this.#heardSocket(), reader), reader };
  }

  /** The socket's options, with a `lookup` of the application's heard: it may answer before anyone can listen. */
  #heardSocket(): Settings['socket'] {
    const { socket } = this.#host.settings;
    const { lookup } = socket;
    if (lookup === undefined) return socket;
    const heard: typeof lookup = (host, options, answer) =>
      lookup(host, options, (...found) => {
        this.#onLookup();
        answer(...found);
      });
    return { ...socket, lookup: heard };
  }

  /** The time that it takes to find a name's address is no sign of a lost packet, and no part of what is measured. */
  readonly #onLookup = (): void => {
    if (this.#hedge !== undefined || this.#since === undefined) return;
    this.#since = performance.now();
    this.#startHedge();
  };

  #prepareHedge({ link }: Dialled): void {
    // Nothing is lost on the way to a socket of this machine's.
    if (!('host' in this.#target)) return;
    if (isIP(this.#target.host) !== 0) this.#startHedge();
    else link.once('lookup', this.#onLookup);
  }

  #startHedge(): void {
    const { patience } = this.#host;
    if (patience !== undefined && !this.#host.isOver()) this.#hedge = new Hedge(patience, this.#held, this);
  }

  /** Waits until a link is connected and encrypted: this one, or the one that was faster. */
  async #ready(dialled: Dialled): Promise<Dialled> {
    // For good: a socket may fail after everyone has left it, and an `error` without a listener ends the process.
    dialled.link.on('error', ignore);
    if (this.#host.isOver()) destroyLink(dialled.link);
    this.#host.checkOn();
    this.#dialled = dialled;
    const ready = new Promise<void>((resolve) => (this.#tellReady = resolve));
    this.#watchOver(dialled);
    try {
      await this.#host.unlessOver(ready);
    } finally {
      this.#stopWaiting();
    }
    return this.#dialled;
  }

  #watchOver(dialled: Dialled): void {
    this.#watch?.stop();
    this.#dialled = dialled;
    this.#watch = new Watch(dialled.link, this, this.#held);
    this.#watch.start();
    this.#stopWaiting = whenReady(dialled.link, this.#tellReady);
  }

  #dropPromised(): void {
    void this.#promised?.then((late) => destroyLink(late.on('error', ignore))).catch(ignore);
  }
}
