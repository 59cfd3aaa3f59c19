import type { Refable } from '../timers/deadline';
import { EndingTransport } from '../socket/ending-transport';
import { unverified } from '../socket/open-socket';
import { AttemptTimer } from './attempt-timer';
import { ApplicationCall } from './application-call';
import { type ConnectorObserver, Connector } from './connector';
import type { AttemptContext, AttemptResult } from './attempt-result';
import { AttemptFailure, closedEarly, failureOf, givenUp, timedOut } from './failure';
import { type Preparation, runHandshake } from './handshake';
import { checkUnread, discard, takeDialled, unencrypted } from './given-stream';
import { type Transport, checkDecoder } from '../socket/transport';
import { resolveTarget } from '../options/resolve-target';
import type { BeforeTls, Dial } from '../options/options';
import { type ResolvedTarget, type Target, tagOf } from '../options/target';

/**
 * One dial, from the target to a transport that is ready for use: target function, gate, TCP, `beforeTls`, TLS and
 * handshake. Each step calls the next, or goes on when the application's promise settles. All but the gate is bounded by
 * `connectTimeout`.
 */
export class Attempt implements Refable, ConnectorObserver {
  /** It is its connection's state. */
  // eslint-disable-next-line @typescript-eslint/class-literal-property-style -- A field would take memory.
  get name(): 'connecting' {
    return 'connecting';
  }

  readonly #context: AttemptContext;
  #phase: 'new' | 'target' | 'gate' | 'dial' | 'beforeTls' | 'tls' | 'handshake' | 'decoder' | 'over' | 'released' =
    'new';
  #target: ResolvedTarget | undefined;
  #connector: Connector | undefined;
  readonly #timer: AttemptTimer;
  /** Made on demand: most attempts need none. */
  #controller: AbortController | undefined;
  #call: { cancel(): void; abandon(): void } | undefined;
  /** The first error of the transport, which closes. */
  #error: Error | undefined;
  /** What has to close before the dial. */
  #ending: EndingTransport | undefined;
  #ref: boolean;

  constructor(context: AttemptContext) {
    this.#context = context;
    this.#ending = context.ending;
    this.#target = context.target;
    this.#timer = new AttemptTimer(context.settings.connectTimeout, context.ref);
    this.#ref = context.ref;
  }

  /**
   * Begins in a microtask, so that its caller is done by then.
   *
   * @param nextTurn - Begin in the next turn of the event loop: until then, calls of `reconnect()` ask for this attempt.
   */
  start(nextTurn = false): void {
    const begin = () => this.#step(() => this.#findTarget());
    if (nextTurn) setImmediate(begin);
    else queueMicrotask(begin);
  }

  get hasBegun(): boolean {
    return this.#phase !== 'new';
  }

  /** Cancels the attempt without a result: destroys the transport and aborts the application's calls. */
  release(): void {
    const wasOver = this.#isOver();
    if (!wasOver) this.#finish(undefined);
    this.#phase = 'released';
    if (!wasOver) this.#context.gate?.release();
  }

  /**
   * Hands over what has to close before the next dial, so that `release()` leaves it alone: a transport that is being
   * prepared, or what had to close before this dial.
   */
  takeEnding(): EndingTransport | undefined {
    const ending = this.#ending;
    this.#ending = undefined;
    const transport = this.#preparation && this.#connector?.transport;
    if (transport === undefined) return ending;
    return new EndingTransport(transport, this.#tag, this.#context.settings.closeTimeout, this.#ref);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#ending?.setRef(ref);
    this.#timer.setRef(ref);
    this.#connector?.setRef(ref);
  }

  #findTarget(): void {
    const { settings, target, to, observer, targetContext } = this.#context;
    const { nextTarget, targets, tls } = settings;
    this.#phase = 'target';
    if (to !== undefined) return this.#found(to, to);
    // `!`: options without either are refused.
    if (nextTarget === undefined) return this.#acquire(target!);
    this.#startTimeout();
    this.#await(nextTarget(observer.countAttempt(), targetContext), (answer) => {
      // Those of a list are resolved.
      this.#found(targets?.find((each) => each === answer) ?? resolveTarget(answer, tls), answer);
    });
  }

  #found(target: ResolvedTarget, answer: Target): void {
    this.#target = target;
    this.#context.observer.onTarget(target, answer);
    this.#acquire(target);
  }

  /**
   * Waits until what was there before has closed, and the gate grants the dial. The wait does not count against
   * `connectTimeout`.
   */
  #acquire(target: ResolvedTarget): void {
    const { gate } = this.#context;
    const ending = this.#ending;
    if (gate === undefined && ending === undefined) return this.#dial(target, undefined);
    this.#phase = 'gate';
    // Nothing else keeps the process alive meanwhile.
    const timeout = this.#timer.hold();
    if (ending === undefined) return this.#askGate(target, timeout);
    // Another peer does not mind.
    if (ending.tag !== tagOf(target)) ending.release();
    ending.whenGone(() => this.#step(() => this.#askGate(target, timeout)));
  }

  #askGate(target: ResolvedTarget, timeout: number): void {
    const { gate } = this.#context;
    if (gate === undefined) return this.#dial(target, undefined);
    void gate.acquire(target, { timeout }).then((answer) => {
      if (!answer.ok) return this.#end(answer);
      this.#step(() => this.#dial(target, answer.slowAfter));
    });
  }

  #dial(target: ResolvedTarget, slowAfter: number | undefined): void {
    const { settings, gate, observer } = this.#context;
    this.#phase = 'dial';
    this.#startTimeout();
    observer.onDial();
    this.#connector = new Connector(target, settings, gate, slowAfter, this.#ref, this);
    if (settings.dial === undefined) this.#connector.open();
    else this.#dialBy(settings.dial, target, this.#connector);
  }

  #dialBy(dial: Dial, target: ResolvedTarget, connector: Connector): void {
    this.#awaitStream(takeDialled(dial(target, this.#signal)), (stream) => connector.guard(stream));
  }

  onConnected(transport: Transport): void {
    const { beforeTls } = this.#context.settings;
    // As in `onReady()`. `!`: the connector calls this only where there is a `beforeTls`.
    queueMicrotask(() => this.#step(() => this.#prepare(transport, beforeTls!)));
  }

  #prepare(transport: Transport, beforeTls: BeforeTls): void {
    this.#phase = 'beforeTls';
    const { generation } = this.#context.targetContext;
    // `!`: there is a target by now.
    const [signal, target] = [this.#signal, this.#target!];
    const prepared = runHandshake(transport, () => beforeTls(transport, { generation, signal, target }), 'beforeTls');
    this.#awaitStream(prepared, (outer) => {
      const stream = outer ?? transport;
      if (stream.destroyed || stream.readableEnded) return this.onClose();
      if (target.tls !== undefined) checkUnread(stream);
      this.#phase = 'tls';
      this.#connector?.proceed(outer);
    });
  }

  onReady(transport: Transport): void {
    // Node starts to read after the `connect` event. And `await connection.whenOpen()` continues in a microtask too,
    // before the first byte is delivered by `process.nextTick`.
    queueMicrotask(() => {
      this.#step(() => {
        // What the handshake has brought is connected and encrypted.
        if (this.#phase !== 'handshake') return this.#shakeHands(transport);
        if (transport.encrypted === true) this.#verify(transport);
        this.#establish(transport);
      });
    });
  }

  #shakeHands(transport: Transport): void {
    this.#verify(transport);
    const { settings, targetContext } = this.#context;
    const { generation } = targetContext;
    const { handshake } = settings;
    if (handshake === undefined) return this.#establish(transport);
    this.#phase = 'handshake';
    const signal = this.#signal;
    this.#awaitStream(
      runHandshake(transport, () => handshake(transport, { generation, signal })),
      (outer) => {
        if (outer === undefined) return this.#establish(transport);
        // A stream that is no TLS itself may lie over the one that is verified, as compression does: it reads that.
        const isRead = transport.listenerCount('data') + transport.listenerCount('readable') > 0;
        if (this.#target?.tls !== undefined && outer.encrypted !== true && !isRead) throw unencrypted();
        this.#connector?.replace(outer);
      },
    );
  }

  #verify(transport: Transport): void {
    const defect = unverified(transport, this.#target!);
    if (defect !== undefined) throw defect;
  }

  #establish(transport: Transport): void {
    if (transport.readableEncoding !== null) {
      throw new TypeError('An encoding was set on the socket, which must give bytes');
    }
    // It may have ended or failed during the handshake.
    if (transport.destroyed || transport.readableEnded) return this.onClose();
    this.#phase = 'decoder';
    const { decoder } = this.#context.settings;
    // `!`: it has brought the transport.
    const { isOwn } = this.#connector!;
    // `!`: there is a target by now.
    this.#end({ ok: true, transport, isOwn, target: this.#target!, decoder: decoder && checkDecoder(decoder()) });
  }

  onError(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    // The attempt ends when the transport has closed, or after this.
    this.#timer.start(this.#context.settings.closeTimeout, () => this.onClose());
  }

  onClose(): void {
    const step = this.#preparation;
    const error = this.#error;
    if (step !== undefined || error === undefined) this.#end(closedEarly(this.#tag, step, error));
    else this.#end(new AttemptFailure('error', error));
  }

  onFailure(failure: AttemptFailure): void {
    this.#end(failure);
  }

  #fail(thrown: unknown): void {
    this.#end(failureOf(thrown, this.#tag, this.#preparation));
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
    // A listener of the signal that this has aborted may have called a method: another attempt is under way, say.
    if (this.#phase !== 'released') observer.onResult(result);
  }

  /** Without a transport to hand over, leaves nothing behind. */
  #finish(result: AttemptResult | undefined): void {
    this.#phase = 'over';
    this.#ending?.release();
    this.#timer.clear();
    if (result?.ok === true) {
      this.#call?.cancel();
      // In the tick in which the session takes over, so that the transport is never without a handler.
      return this.#connector?.stop();
    }
    this.#connector?.destroy();
    this.#call?.abandon();
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
  #await<T>(work: T | PromiseLike<T>, next: (value: T) => void, discardValue?: (value: T) => void): void {
    this.#call = new ApplicationCall(work, next, (reason) => this.#fail(reason), discardValue);
    // The call that returned `work` may have ended the attempt.
    if (this.#isOver()) this.#call.abandon();
  }

  /** As `#await()`. The stream is destroyed if the attempt fails, even if it comes too late. */
  #awaitStream<T extends Transport | undefined>(promised: Promise<T>, next: (stream: T) => void): void {
    this.#await(promised, next, discard);
  }

  #startTimeout(): void {
    this.#timer.startTimeout(() => {
      this.#end(timedOut(this.#tag, this.#context.settings.connectTimeout, this.#preparation));
    });
  }

  /** The function of the application that runs now, for messages. */
  get #preparation(): Preparation | undefined {
    return this.#phase === 'beforeTls' || this.#phase === 'handshake' ? this.#phase : undefined;
  }

  get #tag(): string {
    return this.#target === undefined ? 'the target' : tagOf(this.#target);
  }

  get #signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  /** A method, so that the compiler does not narrow the phase. */
  #isOver(): boolean {
    return this.#phase === 'over' || this.#phase === 'released';
  }
}
