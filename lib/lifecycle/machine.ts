import { onAbort } from '../events/on-abort';
import type { DeliveryQueue } from '../events/delivery-queue';
import { type AttemptObserver, type AttemptResult, Attempt } from '../attempt/attempt';
import { type ChannelEvent, publish } from '../events/diagnostics-channel';
import { Deadline, setRef } from '../timers/deadline';
import { shielded } from '../events/emitter';
import { ConnectionError, unreachable } from '../errors';
import type {
  BackoffInfo,
  CloseInfo,
  CloseReason,
  ConnectionEvents,
  DropInfo,
  FailureReason,
  FinalReason,
  OpenInfo,
  ResetReason,
} from '../events/events';
import type { Gate, Member, Pass } from '../attempt/dial-gate';
import type { HeartbeatConnection } from '../options/options';
import { type OutboxHost, Outbox } from '../writes/outbox';
import { RetryPolicy } from './retry-policy';
import { type SessionHost, Session } from '../session/session';
import type { Settings } from '../options/settings';
import { type Closed, type Closing, type State, setStateRef, release, transitions } from './states';
import { type ConnectionStats, StatsRecorder } from './stats';
import { type ResolvedTarget, tagOf } from '../options/target';
import { type WhenOpenOptions, OpenWaiters } from './when-open';
import type { WriteCallback } from '../writes/write';

/** What the machine needs of the connection around it. */
export interface MachineHost<Message> {
  readonly settings: Settings;
  readonly gate: Gate;
  readonly announcer: DeliveryQueue<ConnectionEvents<Message>>;
  readonly connection: HeartbeatConnection;
}

/**
 * The state machine of a connection. Every change is a transaction: the state with all it holds is set first, and told
 * of afterwards. Whatever the application's code may have changed meanwhile shows in the identity of the state.
 */
export class Machine<Message> implements AttemptObserver, SessionHost, OutboxHost, Member {
  readonly outbox: Outbox;
  tag: string;

  readonly #connection: HeartbeatConnection;
  readonly #pass: Pass;
  readonly #settings: Settings;
  readonly #announcer: DeliveryQueue<ConnectionEvents<Message>>;
  readonly #retry: RetryPolicy;
  /** There are some from the first `whenOpen()` on. */
  #waiters: OpenWaiters | undefined;
  readonly #history = new StatsRecorder();
  #state: State = { name: 'idle' };
  #paused = false;
  #held = true;
  /** Attempts of this opening in whose place another member's was refused. */
  #spared = 0;
  #ending: Ending | undefined;
  #leaveSignal: (() => void) | undefined;

  constructor({ settings, gate, announcer, connection }: MachineHost<Message>) {
    this.#connection = connection;
    this.#pass = gate.join(this, settings);
    this.#settings = settings;
    this.#announcer = announcer;
    this.#retry = new RetryPolicy(settings);
    this.outbox = new Outbox(settings.queue, this);
    this.tag = settings.target === undefined ? 'unresolved' : tagOf(settings.target);
    if (settings.signal?.aborted === true) queueMicrotask(() => this.#aborted());
    else this.#obeySignal();
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  get session(): Session | undefined {
    return 'work' in this.#state && this.#state.work instanceof Session ? this.#state.work : undefined;
  }

  get generation(): number {
    return this.#history.generation;
  }

  /** How the lifecycle ended, once it has. */
  get end(): CloseInfo | undefined {
    return this.#state.name === 'closed' && !this.#state.restart ? this.#state.info : undefined;
  }

  get settings(): Settings {
    return this.#settings;
  }

  get stats(): ConnectionStats {
    return this.#history.stats(this.state, this.tag, this.session, this.outbox.totals);
  }

  // What the application asks for.

  connect(): void {
    const state = this.#state;
    if (state.name === 'closing') state.restart = true;
    if (state.name !== 'idle' && state.name !== 'closed') return;
    if (state.name === 'closed') this.#reopen();
    this.#announcer.transaction(() => {
      this.#retry.reset();
      this.#retry.begin(performance.now());
      this.#dial();
    });
  }

  reconnect(): void {
    const state = this.#state;
    if (state.name === 'idle') this.connect();
    if (state.name === 'backoff') this.#announcer.transaction(() => this.#dial());
    if (state.name === 'open') {
      this.#announcer.transaction(() => {
        this.#judge(state.work);
        const tellReset = this.#endSession(state.work, 'forced', undefined, true);
        this.#dial();
        tellReset();
      });
    }
  }

  markHealthy(): void {
    if (this.#state.name === 'open') this.#state.work.healthy = true;
  }

  disconnect(): Promise<CloseInfo> {
    const { promise } = (this.#ending ??= newEnding(this.#state));
    this.#announcer.transaction(() => {
      const state = this.#state;
      switch (state.name) {
        case 'idle':
        case 'backoff':
          return this.#finish({ reason: 'disconnected' });
        case 'connecting':
          return this.outbox.hasWaiting ? this.#close(state.work) : this.#finish({ reason: 'disconnected' });
        case 'open':
          // A socket that is gone already has nothing to wind up.
          if (state.work.transport.destroyed) return this.#finish({ reason: 'disconnected' });
          this.#close(state.work);
          return state.work.end();
        case 'closing':
        case 'closed':
          return this.#stayClosed(state);
        default:
          unreachable(state);
      }
    });
    return promise;
  }

  destroy(reason: 'destroyed' | 'aborted' = 'destroyed', error?: ConnectionError): void {
    const state = this.#state;
    if (state.name === 'closing' || state.name === 'closed') this.#stayClosed(state);
    if (state.name === 'closed') return;
    this.#announcer.transaction(() => this.#finish({ reason, error }));
  }

  /** Takes back a `connect()` that was to begin a new lifecycle after this one. */
  #stayClosed(state: Closing | Closed): void {
    if (!state.restart) return;
    state.restart = false;
    this.#waiters?.reject(this.#closedError());
  }

  whenOpen(options: WhenOpenOptions): Promise<OpenInfo> {
    const opened = (this.#waiters ??= new OpenWaiters()).add(options, this.tag);
    const state = this.#state;
    if (state.name === 'open' && state.work.info !== undefined) this.#waiters.resolve(state.work.info);
    if (state.name === 'closed' && !state.restart) this.#waiters.reject(this.#closedError(state.info.error));
    if (state.name === 'closing' && !state.restart) this.#waiters.reject(this.#closedError());
    return opened;
  }

  pause(): void {
    this.#paused = true;
    this.session?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.session?.resume();
  }

  /** Writes to one session and no other: what would have to wait for the next is refused. */
  writeTo(generation: number, chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const { outbox, tag } = this;
    if (this.session?.generation === generation && outbox.isConnected) return outbox.write(chunk, callback);
    const message = `Session ${generation} with ${tag} has ended`;
    outbox.refuse(chunk, callback, new ConnectionError('ERR_SESSION_ENDED', message, { tag }));
    return false;
  }

  hold(held: boolean): void {
    this.#held = held;
    setStateRef(this.#state, held);
  }

  // What the gate asks, or the time of a wait that is over.

  recall(): void {
    if (this.#state.name === 'backoff') this.#announcer.transaction(() => this.#dial());
  }

  // What an attempt reports.

  onTarget(target: ResolvedTarget): void {
    this.tag = tagOf(target);
  }

  onDial(): void {
    this.#history.addDial();
    this.#spared -= 1;
  }

  onOutcome(outcome: AttemptResult): void {
    this.#announcer.transaction(() => {
      if (outcome.ok) {
        this.#open(new Session(outcome, this.generation + 1, this.#settings, this, this.#held));
        return;
      }
      this.#history.addFailure();
      this.#waiters?.countFailure(outcome.error);
      this.#fail(outcome.reason, outcome.error);
    });
  }

  // What a session reports.

  onChunk(chunk: Buffer): void {
    this.#announcer.deliver('data', chunk);
  }

  onMessage(message: unknown): void {
    // `as`: what the decoder puts out, who wrote it has said.
    this.#announcer.deliver('message', message as Message);
  }

  onDrain(): void {
    this.outbox.onDrain();
  }

  onEnding(): void {
    this.outbox.sendNow();
  }

  ping(): void {
    this.#settings.heartbeat?.ping(this.#connection);
  }

  onLost(reason: FailureReason, error: Error | undefined): void {
    this.#announcer.transaction(() => {
      if (this.#state.name === 'open') this.#judge(this.#state.work);
      this.#fail(reason, error);
    });
  }

  // What the outbox reports.

  settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void {
    this.#announcer.enqueue(() => {
      for (const callback of callbacks) shielded(() => callback(error));
    });
  }

  onDrop(info: DropInfo): void {
    // A refusal after the end has its `false`, and nothing follows `close`.
    if (info.reason === 'refused' && this.#state.name === 'closed') return;
    this.#tell(always, 'drop', info);
  }

  onRoom(): void {
    this.#announcer.deliver('drain');
  }

  /** Tells a channel's subscribers and then the listeners, in its turn and if it is still true by then. */
  #tell<E extends ChannelEvent>(isTrue: () => boolean, event: E, ...args: Parameters<ConnectionEvents[E]>): void {
    const publishIfTrue = () => {
      const told = isTrue();
      if (told) publish(this.#connection, event, args[0]);
      return told;
    };
    this.#announcer.deliverIf(publishIfTrue, event, ...args);
  }

  // The transitions. Each runs within a transaction.

  #enter(next: State): void {
    const previous = this.#state;
    const legal: readonly string[] = transitions[previous.name];
    if (!legal.includes(next.name)) throw new TypeError(`No way from ${previous.name} to ${next.name}`);
    this.#state = next;
    release(previous, next);
    this.#history.addTransition(previous.name, next.name);
    this.#announcer.deliver('state', next.name, previous.name);
  }

  #dial(): void {
    // Unless it dials after all.
    this.#spared += 1;
    const work = new Attempt({
      settings: this.#settings,
      pass: this.#pass,
      host: this,
      number: this.#history.attempts + this.#spared,
      generation: this.generation + 1,
      held: this.#held,
    });
    this.#enter({ name: 'connecting', work });
    work.start();
  }

  #open(session: Session): void {
    const info = this.#history.addOpen(session);
    this.#spared = 0;
    // A stream of another make may keep the memory of what it was handed.
    this.outbox.attach(session.transport, this.#settings.dial === undefined);
    if (this.#state.name === 'closing') this.#state.work = session;
    else this.#enter({ name: 'open', work: session });

    const isCurrent = () => this.session === session;
    this.#announcer.enqueue(() => {
      if (isCurrent()) session.info = info;
    });
    this.#tell(isCurrent, 'open', info);
    this.#announcer.enqueue(() => {
      if (isCurrent()) this.#greeted(session, info);
    });
  }

  /** The `open` listeners have said their hello: now the queue may go out, and bytes may come in. */
  #greeted(session: Session, info: OpenInfo): void {
    if (this.#state.name === 'closing') {
      this.outbox.seal();
      session.end();
    } else {
      this.#waiters?.resolve(info);
      this.outbox.flush();
    }
    session.read(this.#paused);
  }

  /** A session that lived long enough, or is vouched for, ends the outage that came before it. */
  #judge(session: Session): void {
    if (session.healthy || this.#retry.isHealthy(session.uptime)) this.#retry.reset();
  }

  /** An attempt or a session has failed: waits for another, or gives up. */
  #fail(reason: FailureReason, error: Error | undefined): void {
    const { session } = this;
    const before = this.#state;
    if (error !== undefined) this.#history.addError(error);
    if (before.name === 'closing') return this.#finish({ reason: 'disconnected', lastError: error });

    const failure = { reason, ...(error && { error }) };
    const verdict = this.#retry.next(failure, this.generation, this.tag, performance.now());
    // The application's own `shouldRetry` or `backoff` may have ended it all; what it lets wind up is over already.
    if (this.state === 'closing') return this.#finish({ reason: 'disconnected', lastError: error });
    if (this.#state !== before) return;
    if (!verdict.retry) {
      return this.#finish({ reason: verdict.reason, error: verdict.error, resetReason: reason, lastError: error });
    }

    const { attempt, delay, fault } = verdict;
    const info: BackoffInfo = { attempt, delay, retryAt: Date.now() + delay, ...failure, ...(fault && { fault }) };
    const tellReset = session && this.#endSession(session, reason, error, true);
    const timer = setTimeout(recall, delay, this);
    setRef(this.#held, timer);
    const state: State = { name: 'backoff', timer, pass: this.#pass };
    this.#pass.rest();
    this.#enter(state);
    tellReset?.();
    this.#tell(() => this.#state === state, 'backoff', info);
  }

  /** Counts what the session leaves behind. Returns a function that tells of it. */
  #endSession(session: Session, reason: ResetReason, error: Error | undefined, willRetry: boolean): () => void {
    const { uncertain, settle } = this.outbox.detach(error);
    const info = this.#history.addReset(session, reason, error, willRetry, uncertain);
    return () => {
      this.#tell(() => session.info !== undefined, 'reset', info);
      settle();
    };
  }

  /** Goes on with `work` for as long as `closeTimeout` allows, and takes no more writes. */
  #close(work: Attempt | Session): void {
    const deadline = new Deadline(this.#settings.closeTimeout, this.#held, () => {
      this.#announcer.transaction(() => this.#finish({ reason: 'disconnected' }));
    });
    this.#enter({ name: 'closing', work, deadline, restart: false });
    this.outbox.seal();
    this.#waiters?.reject(this.#closedError());
  }

  /** The end of the lifecycle, from any state. */
  #finish({ reason, error, resetReason, lastError }: End): void {
    const state = this.#state;
    const { session } = this;
    const ending = this.#ending;
    const closedError = this.#closedError(error);
    const restart = state.name === 'closing' && state.restart;
    const closed: Closed = { name: 'closed', info: { reason, ...(error && { error }) }, restart };
    // `as`: what gives up says why the session ended; any other end is a reason of its own.
    const tellReset = session && this.#endSession(session, resetReason ?? (reason as FinalReason), lastError, false);
    const tellDropped = this.outbox.drop(reason, closedError);
    this.#leaveSignal?.();
    this.#enter(closed);
    this.#pass.close();
    if (!restart) this.#waiters?.reject(closedError);
    tellReset?.();
    tellDropped();
    this.#tell(always, 'close', closed.info);
    this.#announcer.enqueue(() => {
      ending?.resolve(closed.info);
      if (closed.restart && this.#state === closed) this.#restart(closed);
    });
  }

  #restart(closed: Closed): void {
    if (this.#settings.signal?.aborted === true) this.#stayClosed(closed);
    else this.connect();
  }

  #reopen(): void {
    const { signal } = this.#settings;
    if (signal?.aborted === true) {
      const message = `The signal of the connection to ${this.tag} is aborted: it cannot start again`;
      throw new ConnectionError('ERR_ABORTED', message, { cause: signal.reason, tag: this.tag });
    }
    this.#obeySignal();
    this.outbox.reopen();
    this.#history.begin();
    this.#spared = 0;
    this.#ending = undefined;
  }

  #obeySignal(): void {
    const { signal } = this.#settings;
    this.#leaveSignal = signal && onAbort(signal, () => this.#aborted());
  }

  #aborted(): void {
    const { signal } = this.#settings;
    const message = `The connection to ${this.tag} was aborted by its signal`;
    this.destroy('aborted', new ConnectionError('ERR_ABORTED', message, { cause: signal?.reason, tag: this.tag }));
  }

  /** What those are told who wanted more: what ended the lifecycle, or that it ended. */
  #closedError(end?: ConnectionError): ConnectionError {
    return end ?? new ConnectionError('ERR_CLOSED', `The connection to ${this.tag} is closed`, { tag: this.tag });
  }
}

/** How a lifecycle ends. */
interface End {
  readonly reason: CloseReason;
  readonly error?: ConnectionError | undefined;
  /** Why the session ended, where that is another reason. */
  readonly resetReason?: FailureReason;
  /** What broke the session, where something did. */
  readonly lastError?: Error | undefined;
}

/** The promise that calls of `disconnect()` share. */
interface Ending {
  readonly promise: Promise<CloseInfo>;
  readonly resolve: (info: CloseInfo) => void;
}

const always = () => true;

/** A function of its own for each wait would keep what it was made beside. */
function recall(machine: Pick<Member, 'recall'>): void {
  machine.recall();
}

function newEnding(state: State): Ending {
  let resolve!: Ending['resolve'];
  const promise = new Promise<CloseInfo>((settle) => (resolve = settle));
  if (state.name === 'closed') resolve(state.info);
  return { promise, resolve };
}
