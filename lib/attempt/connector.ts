import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Refable } from '../timers/deadline';
import { openSocket, secure } from '../socket/open-socket';
import { AttemptFailure } from './failure';
import { type HedgeHost, HedgedDial } from './hedged-dial';
import { type Transport, checkStream, clearHandler, destroyTransport, ignore } from '../socket/transport';
import type { Dial } from '../options/options';
import { fastReadFor } from '../socket/fast-read';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';
import { type WatchHost, TransportSetup } from './transport-setup';

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
  /** Calls `next` with what `work` brings, unless it is over by then; what either throws or rejects with ends it. */
  goOnWith<T>(work: T | PromiseLike<T>, next: (value: T) => void): void;
  /** The last socket has gone `took` milliseconds without. Returns whether another may be opened; if not, that is told. */
  onOverdue(took: number): boolean;
  /** The link is connected, `took` milliseconds after it was dialled; TLS is yet to come. */
  onConnected(took: number): void;
  /** The link is connected, and encrypted where it is to be. */
  onLink(link: Transport): void;
  /** The link has failed, and will close. */
  onBroken(): void;
  onFailure(failure: AttemptFailure): void;
}

/** Brings about one link to a target, connected and encrypted, and watches over it until it is handed over. */
export class Connector implements Refable, WatchHost, HedgeHost {
  readonly #target: ResolvedTarget;
  readonly #host: ConnectorHost;
  #held: boolean;
  #watch: TransportSetup | undefined;
  #hedge: HedgedDial | undefined;
  /** What a custom `dial` promised. */
  #promised: Promise<Duplex> | undefined;
  /** When it began to dial; undefined from the moment it is connected. */
  #since: number | undefined;
  #othersSince = 0;

  constructor(target: ResolvedTarget, host: ConnectorHost, held: boolean) {
    this.#target = target;
    this.#host = host;
    this.#held = held;
  }

  /** Milliseconds since it began to dial; undefined when it has connected since. */
  get dialledFor(): number | undefined {
    return this.#since === undefined ? undefined : performance.now() - this.#since;
  }

  /** Dials. To be called once. Throws where there is nothing to wait for. */
  connect(): void {
    const { dial } = this.#host.settings;
    this.#since = performance.now();
    if (dial !== undefined) return this.#connectBy(dial);
    const link = this.#open();
    this.#prepareHedge(link);
    this.#watchOver(link);
  }

  /** Leaves the link to whom it was handed over. */
  stop(): void {
    this.#watch?.stop();
    this.#hedge?.clear();
  }

  /** Leaves nothing behind, not even a stream that a custom `dial` brings too late. */
  destroy(): void {
    this.stop();
    if (this.#watch !== undefined) destroyTransport(this.#watch.transport);
    this.#dropPromised();
  }

  /** A handshake may leave a link that ended or broke meanwhile, or that no longer gives bytes. */
  checkUsable(link: Transport): void {
    if (link.readableEncoding !== null) throw new TypeError('An encoding was set on the socket, which must give bytes');
    if (link.destroyed || link.readableEnded) this.#watch?.onClose();
  }

  /** Another socket may be opened beside one that goes unanswered. */
  openHedge(): void {
    this.#hedge?.open();
  }

  setRef(held: boolean): void {
    this.#held = held;
    this.#watch?.setRef(held);
    this.#hedge?.setRef(held);
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

  onReady(link: Transport): void {
    const { settings } = this.#host;
    const isToBeSecured = settings.dial !== undefined && this.#target.tls !== undefined && link.encrypted !== true;
    if (isToBeSecured) this.#watchOver(secure(link, this.#target));
    else this.#host.onLink(link);
  }

  onBroken(): void {
    this.#hedge?.clear();
    this.#host.onBroken();
  }

  onFailure(failure: AttemptFailure): void {
    this.#host.onFailure(failure);
  }

  // What a hedge needs, and tells.

  get patience(): number | undefined {
    return this.#host.patience;
  }

  onOverdue(): boolean {
    const since = Math.max(this.#since ?? 0, this.#othersSince);
    return this.#host.onOverdue(performance.now() - since);
  }

  openOther(): Transport {
    this.#othersSince = performance.now();
    return this.#open();
  }

  onWin(other: Transport): void {
    const slower = this.#watch?.transport;
    this.#since = this.#othersSince;
    this.#watchOver(other);
    if (slower !== undefined) destroyTransport(slower);
  }

  onRefused(error: Error): void {
    this.#host.onFailure(new AttemptFailure('error', error));
  }

  #open(): Transport {
    return openSocket(this.#target, this.#heardSocket(), fastReadFor(this.#host.settings, this.#target));
  }

  #connectBy(dial: Dial): void {
    const promised = Promise.resolve(dial(this.#target, this.#host.signal));
    this.#promised = promised;
    // `dial` itself may have ended it all, when there was nothing yet to let go of.
    if (this.#host.isOver()) return this.#dropPromised();
    this.#host.goOnWith(promised, (stream) => this.#watchOver(checkStream(stream, 'what `dial` returns')));
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

  #prepareHedge(link: Transport): void {
    // Nothing is lost on the way to a socket of this machine's.
    if (!('host' in this.#target)) return;
    if (isIP(this.#target.host) !== 0) this.#startHedge();
    else link.once('lookup', this.#onLookup);
  }

  #startHedge(): void {
    if (this.patience !== undefined && !this.#host.isOver()) this.#hedge = new HedgedDial(this.#held, this);
  }

  #watchOver(link: Transport): void {
    const before = this.#watch;
    this.#watch = new TransportSetup(link, this, this.#held);
    before?.stop();
    // A custom `dial`, or a `lookup`, may have ended it all meanwhile.
    if (this.#host.isOver()) return this.destroy();
    this.#watch.start();
  }

  #dropPromised(): void {
    void this.#promised
      ?.then((late) => {
        clearHandler(late);
        destroyTransport(late);
      })
      .catch(ignore);
  }
}
