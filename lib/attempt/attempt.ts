import type { Duplex } from 'node:stream';

import { type Refable, Deadline, LONGEST_DELAY } from '../timers/deadline';
import { unverified } from '../socket/open-socket';
import { Cancellable } from './cancellable';
import { type ConnectorObserver, Connector } from './connector';
import type { AttemptContext, AttemptResult } from './attempt-result';
import { AttemptFailure, closedEarly, failureOf, givenUp, timedOut } from './failure';
import { runHandshake } from './handshake';
import { type Transport, checkDecoder, checkStream, clearHandler, destroyTransport, ignore } from '../socket/transport';
import { resolveTarget } from '../options/settings';
import type { Dial } from '../options/options';
import { type ResolvedTarget, tagOf } from '../options/target';

/**
 * One dial, from the target to a transport that is ready for use: target function, gate, TCP, TLS and handshake. Each
 * step calls the next, or goes on when the application's promise settles. All but the gate is bounded by `connectTimeout`.
 */
export class Attempt implements Refable, ConnectorObserver {
  readonly #context: AttemptContext;
  #phase: 'target' | 'gate' | 'dial' | 'handshake' | 'decoder' | 'over' = 'target';
  #target: ResolvedTarget | undefined;
  #connector: Connector | undefined;
  /** Bounds the present phase. At the gate, it only keeps the process alive. */
  #timer: Deadline | undefined;
  /** What is left of `connectTimeout`, as long as it does not run; Infinity without one. */
  #timeLeft: number;
  /** When `connectTimeout` is over, on the clock of `performance.now()`; undefined as long as it does not run. */
  #dueAt: number | undefined;
  /** Made on demand: most attempts need none. */
  #controller: AbortController | undefined;
  /** A call of the application's that has not settled. */
  #pending: { cancel(): void } | undefined;
  /** The stream that a custom `dial` promised. */
  #promised: Promise<Duplex> | undefined;
  /** The first error of the transport, which closes. */
  #error: Error | undefined;
  #ref: boolean;

  constructor(context: AttemptContext) {
    this.#context = context;
    const { target, connectTimeout } = context.settings;
    this.#target = target;
    this.#timeLeft = connectTimeout === 0 ? Infinity : connectTimeout;
    this.#ref = context.ref;
  }

  /** Begins in a microtask, so that its caller is done by then. */
  start(): void {
    queueMicrotask(() => this.#step(() => this.#findTarget()));
  }

  /** Cancels the attempt without a result: destroys the transport and aborts the application's calls. */
  release(): void {
    if (this.#isOver()) return;
    this.#finish(undefined);
    this.#context.gate?.release();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#timer?.setRef(ref);
    this.#connector?.setRef(ref);
  }

  #findTarget(): void {
    const { nextTarget, target, tls } = this.#context.settings;
    // `!`: options without either are refused.
    if (nextTarget === undefined) return this.#acquire(target!);
    this.#startTimeout();
    this.#await(nextTarget(this.#context.number, { generation: this.#context.generation }), (answer) => {
      this.#target = resolveTarget(answer, tls);
      this.#context.observer.onTarget(this.#target);
      this.#acquire(this.#target);
    });
  }

  /** Waits until the gate grants the dial. The wait does not count against `connectTimeout`. */
  #acquire(target: ResolvedTarget): void {
    const { gate } = this.#context;
    if (gate === undefined) return this.#dial(target, undefined);
    this.#phase = 'gate';
    if (this.#dueAt !== undefined) this.#timeLeft = Math.max(1, this.#dueAt - performance.now());
    this.#dueAt = undefined;
    // Nothing else keeps the process alive meanwhile.
    this.#startTimer(LONGEST_DELAY, ignore);
    void gate.acquire(target, { timeout: this.#timeLeft }).then((answer) => {
      if (!answer.ok) return this.#end(answer);
      this.#step(() => this.#dial(target, answer.slowAfter));
    });
  }

  #dial(target: ResolvedTarget, slowAfter: number | undefined): void {
    const { settings, gate, observer } = this.#context;
    this.#phase = 'dial';
    this.#startTimeout();
    observer.onDial();
    this.#connector = new Connector(target, settings, gate, this.#ref, this);
    if (settings.dial === undefined) this.#connector.open(slowAfter);
    else this.#dialBy(settings.dial, target, this.#connector);
  }

  #dialBy(dial: Dial, target: ResolvedTarget, connector: Connector): void {
    const promised = Promise.resolve(dial(target, this.#signal));
    this.#promised = promised;
    this.#await(promised, (stream) => connector.guard(checkStream(stream, 'what `dial` returns')));
    // `dial` itself may have ended the attempt.
    if (this.#isOver()) destroyLate(promised);
  }

  onReady(transport: Transport): void {
    // Node starts to read after the `connect` event. And `await connection.whenOpen()` continues in a microtask too,
    // before the first byte is delivered by `process.nextTick`.
    queueMicrotask(() => this.#step(() => this.#shakeHands(transport)));
  }

  #shakeHands(transport: Transport): void {
    const defect = unverified(transport, this.#target!);
    if (defect !== undefined) throw defect;
    const { settings, generation } = this.#context;
    const { handshake } = settings;
    if (handshake === undefined) return this.#establish(transport);
    this.#phase = 'handshake';
    const signal = this.#signal;
    this.#await(
      runHandshake(transport, () => handshake(transport, { generation, signal })),
      () => this.#establish(transport),
    );
  }

  #establish(transport: Transport): void {
    if (transport.readableEncoding !== null) {
      throw new TypeError('An encoding was set on the socket, which must give bytes');
    }
    // It may have ended or failed during the handshake.
    if (transport.destroyed || transport.readableEnded) return this.onClose();
    this.#phase = 'decoder';
    const { decoder } = this.#context.settings;
    this.#end({ ok: true, transport, decoder: decoder && checkDecoder(decoder()) });
  }

  onError(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    // The attempt ends when the transport has closed, or after this.
    this.#startTimer(this.#context.settings.closeTimeout, () => this.onClose());
  }

  onClose(): void {
    const inHandshake = this.#phase === 'handshake';
    const error = this.#error;
    if (inHandshake || error === undefined) this.#end(closedEarly(this.#tag, inHandshake, error));
    else this.#end(new AttemptFailure('error', error));
  }

  onFailure(failure: AttemptFailure): void {
    this.#end(failure);
  }

  #fail(thrown: unknown): void {
    this.#end(failureOf(thrown, this.#tag, this.#phase === 'handshake'));
  }

  #end(result: AttemptResult): void {
    if (this.#isOver()) return;
    const { gate, observer } = this.#context;
    if (!result.ok) {
      if (this.#phase === 'target') observer.onDial();
      this.#connector?.reportFailure(result);
    }
    gate?.release();
    // The gate may have ended the backoff of another member, a listener of which may have ended this connection.
    if (this.#isOver()) return;
    this.#finish(result);
    observer.onResult(result);
  }

  /** Without a transport to hand over, leaves nothing behind. */
  #finish(result: AttemptResult | undefined): void {
    this.#phase = 'over';
    this.#timer?.clear();
    this.#pending?.cancel();
    // In the tick in which the session takes over, so that the transport is never without a handler.
    if (result?.ok === true) return this.#connector?.stop();
    this.#connector?.destroy();
    if (this.#promised !== undefined) destroyLate(this.#promised);
    this.#controller?.abort(result?.error ?? givenUp(this.#tag));
  }

  /** Runs a step unless the attempt is over. An exception ends the attempt. */
  #step(step: () => void): void {
    if (this.#isOver()) return;
    try {
      step();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Calls `next` with the result of `work`, unless the attempt is over by then. A rejection ends the attempt. */
  #await<T>(work: T | PromiseLike<T>, next: (value: T) => void): void {
    this.#pending = new Cancellable(
      work,
      (value) => this.#step(() => next(value)),
      (reason) => this.#fail(reason),
    );
    // The call that returned `work` may have ended the attempt.
    if (this.#isOver()) this.#pending.cancel();
  }

  /** Starts what is left of `connectTimeout`, unless it runs already. */
  #startTimeout(): void {
    if (this.#dueAt !== undefined) return;
    this.#timer?.clear();
    if (this.#timeLeft === Infinity) return;
    this.#dueAt = performance.now() + this.#timeLeft;
    this.#startTimer(this.#timeLeft, () => {
      const what = this.#phase === 'handshake' ? 'handshake' : 'dial';
      this.#end(timedOut(this.#tag, this.#context.settings.connectTimeout, what));
    });
  }

  #startTimer(milliseconds: number, expire: () => void): void {
    this.#timer?.clear();
    this.#timer = new Deadline(milliseconds, this.#ref, expire);
  }

  get #tag(): string {
    return this.#target === undefined ? 'the target' : tagOf(this.#target);
  }

  get #signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  /** A method, so that the compiler does not narrow the phase. */
  #isOver(): boolean {
    return this.#phase === 'over';
  }
}

/** Destroys the stream of a custom `dial`, even one that comes too late. */
function destroyLate(promised: Promise<Duplex>): void {
  const destroy = (late: Duplex) => {
    clearHandler(late);
    destroyTransport(late);
  };
  promised.then(destroy).catch(ignore);
}
