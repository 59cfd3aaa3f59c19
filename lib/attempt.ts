import type { Duplex, Transform } from 'node:stream';

import { type Holdable, Deadline, hold } from './deadline';
import {
  type Link,
  destroyLink,
  ignore,
  isSelfConnected,
  openSocket,
  resetLink,
  secure,
  unverified,
  whenReady,
} from './dial';
import { ConnectionError, disown, invalidOption, toError } from './errors';
import type { FailureReason } from './events';
import type { Gate } from './gate';
import { runHandshake } from './handshake';
import { race } from './race';
import { type Reader, readerFor } from './reader';
import { type Settings, resolveTarget } from './settings';
import { type ResolvedTarget, tagOf } from './target';

/** What an attempt hands over to the session. */
export interface Established {
  readonly link: Link;
  readonly reader: Reader | undefined;
  readonly decoder: Transform | undefined;
}

/** What an attempt came to. */
export type Outcome =
  ({ readonly ok: true } & Established) | { readonly ok: false; readonly reason: FailureReason; readonly error: Error };

/** What an attempt needs to know of its connection. */
export interface AttemptContext {
  readonly settings: Settings;
  readonly gate: Gate;
  /** Dials of this opening, this one included. */
  readonly number: number;
  /** Number the session will have. */
  readonly generation: number;
  readonly held: boolean;
  /** Told the target as soon as it is known. */
  readonly onTarget: (target: ResolvedTarget) => void;
  /** Told once, unless the attempt is cancelled first. A link that comes out well is the receiver's from then on. */
  readonly onOutcome: (outcome: Outcome) => void;
}

/** One dial, from the target to a link that is ready for use: name resolution, TCP, TLS and handshake under one deadline. */
export class Attempt implements Holdable {
  readonly #context: AttemptContext;
  readonly #controller = new AbortController();
  /** Never resolves; rejects when the attempt has to stop, whatever it is waiting for. */
  readonly #stopped: Promise<never>;
  #stop!: (failure: AttemptFailure) => void;
  #leaveGate = ignore;
  #deadline: Deadline | undefined;
  #link: Link | undefined;
  #linkError: Error | undefined;
  /** What a custom `dial` promised. */
  #dialled: Promise<Duplex> | undefined;
  #tag: string;
  #held: boolean;
  #phase: 'dial' | 'handshake' | 'decode' | 'over' = 'dial';

  constructor(context: AttemptContext) {
    this.#context = context;
    this.#held = context.held;
    this.#tag = context.settings.target === undefined ? 'the target' : tagOf(context.settings.target);
    this.#stopped = new Promise<never>((_resolve, reject) => {
      this.#stop = reject;
    });
    this.#stopped.catch(() => undefined);
  }

  /** Dials as soon as the gate lets it, in a microtask of its own: what called this is done by then. */
  start(): void {
    this.#leaveGate = this.#context.gate.enter(() => {
      queueMicrotask(() => void this.#run());
    });
  }

  /**
   * Gives up without an outcome: destroys the link, stops the timer, aborts what the application was asked to do. Does
   * nothing when the attempt is over.
   */
  release(): void {
    if (this.#phase === 'over') return;
    this.#finish();
    const message = `The attempt to reach ${this.#tag} was given up`;
    const error = new ConnectionError('ERR_ABORTED', message, { tag: this.#tag });
    this.#stop(new AttemptFailure('error', error));
    this.#abandon(error);
  }

  ref(): void {
    this.#hold(true);
  }

  unref(): void {
    this.#hold(false);
  }

  #hold(held: boolean): void {
    this.#held = held;
    if (this.#deadline !== undefined) hold(held, this.#deadline);
    if (this.#link !== undefined) hold(held, this.#link);
  }

  async #run(): Promise<void> {
    if (this.#isOver()) return;
    const { connectTimeout } = this.#context.settings;
    if (connectTimeout > 0) this.#deadline = new Deadline(connectTimeout, this.#held, this.#onTimeout);
    const outcome = await this.#establish().then(
      (established): Outcome => ({ ok: true, ...established }),
      (thrown: unknown) => this.#failureOf(thrown),
    );
    if (this.#isOver()) return;
    // Only now, in the tick in which the receiver takes over, does the link lose the listeners that guard it.
    this.#finish();
    if (!outcome.ok) this.#abandon(outcome.error);
    this.#context.onOutcome(outcome);
  }

  async #establish(): Promise<Established> {
    const { settings } = this.#context;
    const target = await this.#resolve();
    const reader = readerFor(settings, target);
    const link = await this.#dial(target, reader);
    const defect = unverified(link, target);
    if (defect !== undefined) throw defect;
    await this.#shakeHands(link);
    await this.#checkUsable(link);
    this.#proceed('decode');
    const decoder = settings.decoder && checkDecoder(settings.decoder());
    return { link, reader, decoder };
  }

  async #resolve(): Promise<ResolvedTarget> {
    const { settings, number, onTarget } = this.#context;
    const target =
      settings.nextTarget === undefined
        ? settings.target
        : resolveTarget(await this.#unlessStopped(settings.nextTarget(number)), settings.tls);
    this.#proceed('dial');
    // Options without either do not pass.
    const resolved = target!;
    this.#tag = tagOf(resolved);
    onTarget(resolved);
    return resolved;
  }

  async #dial(target: ResolvedTarget, reader: Reader | undefined): Promise<Link> {
    this.#proceed('dial');
    const { settings } = this.#context;
    if (settings.dial === undefined) {
      return this.#ready(openSocket(target, settings.socket, reader));
    }
    this.#dialled = Promise.resolve(settings.dial(target, this.#controller.signal));
    // `dial` itself may have ended it all, when there was nothing yet to let go of.
    if (this.#isOver()) this.#dropDialled();
    const stream = checkStream(await this.#unlessStopped(this.#dialled), 'what `dial` returns');
    const link: Link = await this.#ready(stream);
    return target.tls === undefined || link.encrypted === true ? link : this.#ready(secure(link, target));
  }

  /** Watches over `link` from here on, and waits until it is connected and encrypted. */
  async #ready(link: Link): Promise<Link> {
    // For good: a socket may fail after everyone has left it, and an `error` without a listener ends the process.
    link.on('error', ignore);
    if (this.#isOver()) destroyLink(link);
    this.#proceed('dial');
    this.#unwatch();
    this.#link = link;
    link.on('error', this.#onError).on('close', this.#onClose);
    if (!this.#held) link.unref?.();
    if (link.destroyed) {
      // Streams of another make may leave it undefined.
      if (link.errored) this.#onError(link.errored);
      this.#onClose();
    }
    if (link.connecting === true) link.once('connect', this.#onConnect);
    else this.#onConnect();
    let stopWaiting = ignore;
    try {
      await this.#unlessStopped(new Promise<void>((resolve) => (stopWaiting = whenReady(link, resolve))));
    } finally {
      stopWaiting();
    }
    return link;
  }

  async #shakeHands(link: Link): Promise<void> {
    const { settings, generation } = this.#context;
    const { handshake } = settings;
    if (handshake === undefined) return;
    this.#proceed('handshake');
    const { signal } = this.#controller;
    await this.#unlessStopped(runHandshake(link, () => handshake(link, { generation, signal })));
  }

  /** A handshake may leave a link that ended or broke meanwhile, or that no longer gives bytes. */
  async #checkUsable(link: Link): Promise<void> {
    if (link.readableEncoding !== null) throw new TypeError('An encoding was set on the socket, which must give bytes');
    if (!link.destroyed && !link.readableEnded) return;
    this.#onClose();
    await this.#stopped;
  }

  #unlessStopped<T>(work: T | PromiseLike<T>): Promise<T> {
    return race(this.#stopped, work);
  }

  readonly #onTimeout = (): void => {
    const { connectTimeout } = this.#context.settings;
    const message =
      this.#phase === 'handshake'
        ? `The handshake with ${this.#tag} was not done within ${connectTimeout} ms`
        : `No answer from ${this.#tag} within ${connectTimeout} ms`;
    const error = new ConnectionError('ERR_CONNECT_TIMEOUT', message, { tag: this.#tag });
    this.#stop(new AttemptFailure('connect-timeout', error));
  };

  /** A link that fails closes, and its `close` is what counts. One that does not is not waited for long. */
  readonly #onError = (error: Error): void => {
    if (this.#linkError !== undefined) return;
    this.#linkError = toError(error);
    this.#deadline?.clear();
    this.#deadline = new Deadline(this.#context.settings.closeTimeout, this.#held, this.#onClose);
    if (this.#link !== undefined) destroyLink(this.#link);
  };

  /** Before TLS begins: a socket that is connected to itself would be greeted with its own greeting. */
  readonly #onConnect = (): void => {
    if (this.#link === undefined || !isSelfConnected(this.#link)) return;
    const message = `The socket for ${this.#tag} was connected to itself`;
    const error = new ConnectionError('ERR_SELF_CONNECT', message, { tag: this.#tag });
    this.#stop(new AttemptFailure('self-connect', error));
    resetLink(this.#link);
  };

  readonly #onClose = (): void => {
    if (this.#phase === 'handshake' || this.#linkError === undefined) {
      const message = `${this.#tag} closed the connection before it was open`;
      const error = new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause: this.#linkError, tag: this.#tag });
      this.#stop(new AttemptFailure(this.#phase === 'handshake' ? 'handshake-failed' : 'peer-end', error));
    } else {
      this.#stop(new AttemptFailure('error', this.#linkError));
    }
  };

  #failureOf(thrown: unknown): AttemptFailure {
    if (thrown instanceof AttemptFailure) return thrown;
    const cause = toError(thrown);
    if (this.#phase !== 'handshake') return new AttemptFailure('error', cause);
    const message = `The handshake with ${this.#tag} failed: ${cause.message}`;
    const error = new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag: this.#tag });
    return new AttemptFailure('handshake-failed', error);
  }

  /** To be called before each step: what the last one waited for may come in the very tick in which the attempt ends. */
  #proceed(phase: 'dial' | 'handshake' | 'decode'): void {
    if (this.#isOver()) throw new AbandonedError();
    this.#phase = phase;
  }

  /** A method, so that the compiler does not remember the answer across an await. */
  #isOver(): boolean {
    return this.#phase === 'over';
  }

  #finish(): void {
    this.#phase = 'over';
    this.#deadline?.clear();
    this.#unwatch();
    this.#leaveGate();
  }

  /** Leaves nothing behind, not even a stream that a custom `dial` brings too late. */
  #abandon(error: Error): void {
    if (this.#link !== undefined) destroyLink(this.#link);
    this.#dropDialled();
    this.#controller.abort(error);
  }

  #dropDialled(): void {
    void this.#dialled?.then((late) => destroyLink(late.on('error', ignore))).catch(ignore);
  }

  #unwatch(): void {
    this.#link?.off('error', this.#onError).off('close', this.#onClose).off('connect', this.#onConnect);
  }
}

/** Unwinds an attempt that is over already; nobody sees it. */
class AbandonedError extends Error {}

/** What stops an attempt. */
class AttemptFailure {
  readonly ok = false;
  readonly reason: FailureReason;
  readonly error: Error;

  constructor(reason: FailureReason, error: Error) {
    this.reason = reason;
    this.error = error;
  }
}

function checkDecoder(decoder: Transform): Transform {
  checkStream(decoder, 'what `decoder` returns');
  if (decoder.writable && decoder.readable) return decoder;
  throw invalidOption('what `decoder` returns', 'a stream that is not used up', decoder);
}

function checkStream<T extends Duplex>(value: T, name: string): T {
  // By its members: a stream of another realm, or of a package of its own, is as good as Node's.
  const stream = value as Partial<T> | null | undefined;
  if (typeof stream?.on === 'function' && typeof stream.write === 'function' && typeof stream.destroy === 'function') {
    return value;
  }
  disown(value);
  throw invalidOption(name, 'a stream', value);
}
