import type {
  BackoffInfo,
  CloseInfo,
  DropInfo,
  OpenInfo,
  ReconnectingConnection,
  ResetInfo,
  StateName,
} from 'reconnecting-connection';

import { transitions } from '../../lib/lifecycle/states';
import type { Clock } from './clock';
import { Ledger, sessionOf } from './ledger';
import type { Link } from './link';
import type { Network } from './network';
import { HELLO } from './peer';
import type { Setup } from './plan';

/** What an invariant says that does not hold. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** What was thrown: a rule that was broken, or anything else, which is a crash. */
export function violationOf(thrown: unknown): Violation {
  if (thrown instanceof Violation) return thrown;
  return new Violation('crash', thrown instanceof Error ? (thrown.stack ?? '') : String(thrown));
}

/** What the model needs to know of the setup. */
export type Bounds = Pick<
  Setup,
  | 'connectTimeout'
  | 'closeTimeout'
  | 'idleTimeout'
  | 'writeTimeout'
  | 'halfOpen'
  | 'heartbeat'
  | 'maxAge'
  | 'overflow'
  | 'minUptime'
  | 'maxLifetime'
  | 'maxRetries'
  | 'decoder'
  | 'failback'
> & {
  readonly maxDelay: number;
  /** Whether the application calls nothing from within. */
  readonly isPlain: boolean;
};

/** How late a silence may be found, as a multiple of its limit: it is looked for at intervals. */
const LATE = 1.25;

/** How late, in milliseconds, the clock's steps may make what is due. */
const SLACK = 2;

/** A dial beside the session. */
interface Beside {
  readonly port: number;
  readonly signal: AbortSignal;
  /** Whether something else than `failback` may have asked for it. */
  readonly isRotated: boolean;
  link: Link | undefined;
  openedAt: number;
  endedAt: number;
}

/** A connection as the contract has it, which follows the real one from event to event and compares. */
export class Model {
  readonly ledger: Ledger;
  state: StateName = 'idle';
  /** Since when it is in that state. */
  since = 0;
  paused = false;
  held = true;
  /** Whether a write returned false and no `drain` has come since. */
  owesDrain = false;
  readonly violations: Violation[] = [];
  readonly visited = new Map<string, number>();
  readonly heard = new Map<string, number>();
  /** Resets, by their reason. */
  readonly resets = new Map<string, number>();
  /** Sessions that went on after the peer's end. */
  halfOpen = 0;
  /** Dials beside a session that only `failback` can have asked for. */
  probes = 0;
  /** Sessions that were replaced by one with a preferred server, which only `failback` can have asked for. */
  moves = 0;
  /** How many probes in a row have to last before the connection moves. */
  successes: number;
  /** Drops, by their reason. */
  readonly drops = new Map<string, number>();
  readonly links: Link[] = [];

  readonly #connection: ReconnectingConnection;
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #bounds: Bounds;
  readonly #say: (line: string) => void;
  readonly #dialling = new Set<AbortSignal>();
  /** Dials beside the present session, and beside those with its server whose place it has taken. */
  #beside: Beside[] = [];
  #session: Link | undefined;
  /** The server of the last session. */
  #port: number | undefined;
  #generation = 0;
  #opens = 0;
  #resets = 0;
  #uncertain = 0;
  #attempt = 0;
  #delay: number | undefined;
  #mustClose = false;
  #resumedAt = 0;
  #pings: number[] = [];
  /** Whether the application has asked to dial since the last wait began. */
  #asked = false;
  /** Whether it has asked for another wait in place of the present one. */
  #asksToWait = false;
  /** Until when a socket that `reconnect()` has left may take to close. */
  #endsBy = -Infinity;
  /** Whether the application has asked for another session since the last one opened. */
  #replaces = false;
  /** Since when the open session is known to end, to be replaced. */
  #drainsSince = Infinity;
  /** Of the bytes that nobody heard, those that are known of. */
  #unheard = 0;

  constructor(
    connection: ReconnectingConnection,
    clock: Clock,
    network: Network,
    bounds: Bounds,
    say: (line: string) => void,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#network = network;
    this.#bounds = bounds;
    this.#say = say;
    this.successes = bounds.failback?.successes ?? 0;
    this.ledger = new Ledger(connection, clock, bounds, this.fail);
    this.since = clock.now;
    connection
      .on('state', (next, previous) => this.#hear('state', `${previous} ${next}`, () => this.#onState(next, previous)))
      .on('open', (info) => this.#hear('open', `${info.generation} ${info.attempts}`, () => this.#onOpen(info)))
      .on('reset', (info) => this.#hear('reset', `${info.generation} ${info.reason}`, () => this.#onReset(info)))
      .on('backoff', (info) => this.#hear('backoff', `${info.attempt} ${info.delay}`, () => this.#onBackoff(info)))
      .on('close', (info) => this.#hear('close', info.reason, () => this.#onClose(info)))
      .on('drain', () => this.#hear('drain', '', () => (this.owesDrain = false)))
      .on('drop', (info) => this.#hear('drop', `${info.bytes} ${info.reason}`, () => this.#onDrop(info)));
  }

  readonly fail = (rule: string, message: string): void => {
    this.#say(`VIOLATION ${rule}: ${message}`);
    this.violations.push(new Violation(rule, message));
  };

  /** To be added as the last listener of `open`. */
  readonly onGreeted = (): void => {
    if (this.#session !== undefined) this.ledger.onGreeted(this.#session);
  };

  /** Number of the latest session that was told of. */
  get generation(): number {
    return this.#generation;
  }

  /** When the wait is over. */
  get dueAt(): number {
    return this.since + (this.#delay ?? 0);
  }

  /** Hears what comes from now on. */
  listen(): void {
    this.#connection
      .on('data', (chunk) => this.#hear('data', String(chunk.length), () => this.#onBytes(chunk)))
      .on('message', (message) =>
        this.#hear('message', String(message), () => this.#onBytes(Buffer.from(`${String(message)}\n`))),
      );
  }

  /** The application calls something that may dial without a wait. */
  onAsked(): void {
    this.#asked = true;
  }

  /** The application calls `reconnect()`. */
  onReconnect(delay: number): void {
    this.#endsBy = this.#clock.now + this.#bounds.closeTimeout;
    if (delay === 0) this.#asked = true;
    else this.#asksToWait = this.state === 'backoff';
    // The attempt under way gives place to another without leaving the state.
    if (this.state === 'connecting' && delay === 0) this.since = this.#clock.now;
  }

  /** The application calls `replace()`. */
  onReplace(): void {
    this.#replaces = true;
    if (this.state === 'idle' || this.state === 'backoff') this.#asked = true;
  }

  onPause(paused: boolean): void {
    if (paused === this.paused) return;
    this.paused = paused;
    if (this.state !== 'open') return;
    this.#resumedAt = this.#clock.now;
    this.#pings = [];
  }

  onPing(): void {
    this.#pings.push(this.#clock.now);
  }

  /** The library asks for a stream. */
  onDial(port: number, signal: AbortSignal): void {
    const { isRotated, isPreferred } = this.#besideOf(port);
    const isBeside = this.state === 'open' && (isRotated || isPreferred);
    for (const other of this.#dialling) if (other.aborted) this.#dialling.delete(other);
    // A probe and what replaces the session may go on at once.
    const most = isBeside && isRotated && this.#bounds.failback !== undefined ? 1 : 0;
    if (this.#dialling.size > most) this.fail('one dial', 'a dial began while another went on');
    this.#dialling.add(signal);
    const session = isBeside ? sessionOf(this.#connection) : undefined;
    const others = this.links.filter((link) => !link.destroyed && link !== session);
    if (others.length > most) this.fail('one link', 'a dial began with a link still there');
    if (this.state !== 'connecting' && this.state !== 'closing' && !isBeside)
      this.fail('dial', `it dialled server ${port} while ${this.state}`);
    if (!isBeside) return;
    this.#beside.push({ port, signal, isRotated, link: undefined, openedAt: Infinity, endedAt: Infinity });
    if (!isRotated) this.probes += 1;
  }

  /** It gets one. */
  onLink(link: Link, signal: AbortSignal): void {
    this.#dialling.delete(signal);
    this.links.push(link);
    link.onHanded = (chunk) => this.#onHanded(link, chunk);
    const beside = this.#beside.find((each) => each.signal === signal);
    if (beside === undefined) return;
    beside.link = link;
    link.once('connect', () => (beside.openedAt = this.#clock.now));
    link.once('close', () => (beside.endedAt = this.#clock.now));
  }

  #onHanded(link: Link, chunk: Buffer): void {
    const isHandshake = link.writes === 1 && chunk.equals(HELLO);
    if (!isHandshake && link !== sessionOf(this.#connection))
      this.fail('probe', `link ${link.number} is not that of a session, and was handed ${chunk.toString('latin1')}`);
    this.ledger.onHanded(link, chunk);
  }

  /** Holds at every instant. */
  check(): void {
    this.ledger.check();
    if (this.#connection.state !== this.state)
      this.fail('state', `it is ${this.#connection.state}, and said ${this.state}`);
  }

  /** Holds when nothing is left to do at this instant. */
  checkQuiet(): void {
    this.check();
    this.ledger.checkQuiet();
    this.#checkLinks();
    this.#checkDue();
    this.#checkTimers();
    if (this.#bounds.isPlain && this.#connection.generation !== this.#generation)
      this.fail('probe', `session ${this.#connection.generation} was not told of`);
    if (this.state === 'open' && !this.paused) this.#checkSession();
  }

  /** Holds when the lifecycle is over and nothing is left to do. */
  checkClosed(): void {
    this.ledger.checkClosed();
    if (this.#opens === this.#generation && this.#uncertain !== this.#connection.stats.writes.uncertain.writes) {
      this.fail('reset', `resets told of ${this.#uncertain} uncertain writes`);
    }
    if (this.#opens !== this.#resets) this.fail('reset', `${this.#opens} opens and ${this.#resets} resets`);
    if (this.#mustClose) this.fail('close', 'no close came');
  }

  // What it says.

  #hear(event: string, detail: string, follow: () => unknown): void {
    this.#say(`${this.#clock.now} ${event} ${detail}`);
    this.heard.set(event, (this.heard.get(event) ?? 0) + 1);
    if (this.state === 'closed' && event !== 'state' && !this.#mustClose) {
      this.fail('nothing after close', `${event} was told after close`);
    }
    follow();
    if (event !== 'data' && event !== 'message') this.ledger.check();
  }

  #onState(next: StateName, previous: StateName): void {
    const key = `${previous}-${next}`;
    this.visited.set(key, (this.visited.get(key) ?? 0) + 1);
    if (previous !== this.state) this.fail('state', `it left ${previous} and had been ${this.state}`);
    const legal: readonly string[] = transitions[previous];
    if (!legal.includes(next)) this.fail('state', `there is no way from ${previous} to ${next}`);
    if (previous === 'backoff' && next === 'connecting' && !this.#asked) {
      const waited = this.#clock.now - this.since;
      if (waited < (this.#delay ?? 10) - 1) this.fail('hot loop', `it waited ${waited} ms, not ${this.#delay}`);
    }
    if (previous === 'closed') {
      if (this.#mustClose) this.fail('close', 'it started again before its close was told');
      if (!this.#asked) this.fail('close', 'it started again by itself');
      this.owesDrain = false;
      this.#attempt = 0;
    }
    if (next === 'connecting' && previous !== 'backoff') this.#attempt = previous === 'open' ? this.#attempt : 0;
    // A listener may have cut the wait short before it was told of.
    if (next === 'backoff') this.#asked = this.#connection.state !== 'backoff';
    if (next === 'closed') this.#mustClose = true;
    this.#delay = undefined;
    this.#asksToWait = false;
    this.state = next;
    this.since = this.#clock.now;
  }

  #onOpen({ generation, attempts, downtime }: OpenInfo): void {
    if (this.state !== 'open' && this.state !== 'closing') this.fail('open', `open while ${this.state}`);
    if (this.#opens !== this.#resets) this.fail('open', 'a second open without a reset');
    if (generation <= this.#generation) this.fail('open', `generation ${generation} after ${this.#generation}`);
    if (attempts < 1) this.fail('open', `it took ${attempts} attempts`);
    if (!(downtime >= 0)) this.fail('open', `a downtime of ${downtime} ms`);
    if (this.#bounds.isPlain && generation !== this.#generation + 1)
      this.fail('probe', `session ${generation} follows session ${this.#generation}`);
    this.#opens += 1;
    this.#generation = generation;
    this.#session = sessionOf(this.#connection);
    this.#checkMove(this.#session);
    if (this.#session?.port !== this.#port) this.#beside = [];
    this.#port = this.#session?.port;
    this.#replaces = false;
    this.#drainsSince = Infinity;
    if (this.#session !== undefined) this.ledger.onTurning(this.#session, false);
    this.#resumedAt = this.#clock.now;
    this.#pings = [];
    if (this.#session === undefined) this.fail('open', 'an open session has no socket');
  }

  #onReset({ generation, reason, willRetry, uncertain }: ResetInfo): void {
    const session = this.#session;
    const { now } = this.#clock;
    const mayReplace = this.#mayReplace || this.#mayMove;
    this.resets.set(reason, (this.resets.get(reason) ?? 0) + 1);
    this.#resets += 1;
    if (this.state !== 'open') this.#beside = [];
    this.#uncertain += uncertain.writes;
    this.#session = undefined;
    // What waited for a listener, and will not be heard.
    const letGo = this.#connection.stats.unheardBytes - this.#unheard;
    this.#unheard += letGo;
    if (this.#opens !== this.#resets || session === undefined) return this.fail('reset', 'a reset without an open');
    if (generation !== this.#generation) this.fail('reset', `reset ${generation} of session ${this.#generation}`);
    const successor = sessionOf(this.#connection);
    if (successor !== undefined && successor !== session) this.ledger.onTurning(successor, true);
    if (reason === 'replaced' && !mayReplace) this.fail('reset', 'it was replaced without being asked');
    const next = !willRetry ? ['closed'] : ['backoff'];
    if (willRetry && (reason === 'forced' || mayReplace)) next.push('connecting');
    // The next session was there.
    if (willRetry && mayReplace) next.push('open');
    if (willRetry && reason === 'replaced') next.push('closing');
    // The dial beside the session is its first retry.
    if (this.state === 'connecting' && reason !== 'forced') this.#attempt = 1;
    if (!next.includes(this.state))
      this.fail('order', `a reset (${reason}, ${String(willRetry)}) was told while ${this.state}`);
    const peer = this.#network.peerOf(session);
    if (
      (reason === 'peer-end' || reason === 'replaced') &&
      session.readableEnded &&
      this.#bounds.decoder === 'none' &&
      peer !== undefined
    ) {
      const missing = peer.sent.length - peer.sent.taken - letGo;
      if (missing !== 0) this.fail('data', `${missing} bytes from before the peer’s end are missing, ${letGo} unheard`);
    }
    // What the application has just called, its own `shouldRetry` say, came after the judgement.
    if (this.#resumedAt === now) return;
    // There are eight looks within the limit. A standstill between two goes unseen, and a look may be late by 50 ms.
    const unseen = this.#bounds.idleTimeout / 8 + 50;
    const silence = this.#clock.awakeSince(Math.max(session.arrivedAt, this.#resumedAt), unseen);
    if (reason === 'idle' && silence < this.#bounds.idleTimeout - 1) {
      this.fail('healthy', `taken for idle after a silence of ${silence} ms`);
    }
    const due = now - (this.#bounds.heartbeat?.timeout ?? 0) + 1;
    if (reason === 'heartbeat' && !this.#pings.some((at) => at <= due && session.arrivedAt <= at)) {
      this.fail('healthy', `taken for dead after a silence of ${silence} ms`);
    }
    if (reason === 'peer-end' && this.#bounds.halfOpen && session.allowHalfOpen && !session.writableEnded) {
      this.fail('half-open', 'a session ended with the peer’s end, and was to go on for writes');
    }
    if (reason === 'stalled' && now - session.progressAt < this.#bounds.writeTimeout - 1) {
      this.fail('healthy', `taken for stalled ${now - session.progressAt} ms after it took bytes`);
    }
  }

  #onBackoff({ attempt, delay, retryAt, reason, fault }: BackoffInfo): void {
    if (this.#asksToWait) this.since = this.#clock.now;
    if (this.state !== 'backoff' || (this.#delay !== undefined && !this.#asksToWait))
      this.fail('backoff', `backoff while ${this.state}`);
    // What a listener or a function of the application's cut short has counted without being told of.
    const isOwnWait = reason === 'forced';
    if (this.#bounds.isPlain && !isOwnWait && attempt !== 1 && attempt !== this.#attempt + 1) {
      this.fail('backoff', `retry ${attempt} after ${this.#attempt}`);
    }
    if (attempt > this.#bounds.maxRetries && !isOwnWait)
      this.fail('backoff', `retry ${attempt} of ${this.#bounds.maxRetries}`);
    // A broken function's wait is a second.
    const longest = Math.max(fault === undefined ? 10 : 1_000, this.#bounds.maxDelay);
    // A wait that the application asked for is as long as it said.
    if (!Number.isInteger(delay) || delay < 10 || (delay > longest && !isOwnWait)) {
      this.fail('backoff', `a wait of ${delay} ms (${reason})`);
    }
    if (retryAt !== Date.now() - (this.#clock.now - this.since) + delay)
      this.fail('backoff', 'retryAt is not now and delay');
    this.#attempt = attempt;
    this.#delay = delay;
    this.#asksToWait = false;
  }

  #onClose({ reason, error }: CloseInfo): void {
    if (this.state !== 'closed' || !this.#mustClose) this.fail('close', `close while ${this.state}, or again`);
    if (this.#opens !== this.#resets) this.fail('order', 'close came before the reset');
    const isOwn = reason === 'disconnected' || reason === 'destroyed';
    if (isOwn !== (error === undefined)) this.fail('close', `close as ${reason} with ${String(error)}`);
    this.#mustClose = false;
  }

  #onDrop(info: DropInfo): void {
    this.drops.set(info.reason, (this.drops.get(info.reason) ?? 0) + 1);
    this.ledger.onDrop(info);
  }

  #onBytes(bytes: Buffer): void {
    const session = this.#session;
    if (session === undefined) return this.fail('stale data', 'bytes came without a session');
    if (this.paused) this.fail('pause', 'bytes came while paused');
    const sent = this.#network.peerOf(session)?.sent;
    const letGo = this.#connection.stats.unheardBytes - this.#unheard;
    this.#unheard += letGo;
    if (letGo > 0) sent?.skip(letGo);
    if (sent?.take(bytes) !== true) {
      this.fail('data', `not what the peer sent next: ${bytes.toString('latin1').slice(0, 60)}`);
    }
  }

  // What is true of it.

  get #mayReplace(): boolean {
    return this.#replaces || this.#bounds.maxLifetime < Infinity;
  }

  /** Whether there are servers that are preferred to that of the session. */
  get #mayMove(): boolean {
    return this.#bounds.failback !== undefined && (this.#session?.port ?? 1) > 1;
  }

  /** Who may have asked for a dial beside the session: the application or `maxLifetime`, or `failback`. */
  #besideOf(port: number): { isRotated: boolean; isPreferred: boolean } {
    const session = sessionOf(this.#connection);
    const isPreferred = this.#bounds.failback !== undefined && port < (session?.port ?? 1);
    // A session that was ended needs a next one, whatever becomes of that which it was ended for.
    const isEnded = this.#bounds.failback !== undefined && session?.writableEnded === true;
    return { isRotated: this.#mayReplace || isEnded, isPreferred };
  }

  /** What `failback` alone has moved goes to a server of which enough probes in a row have lasted. */
  #checkMove(session: Link | undefined): void {
    const { failback, minUptime } = this.#bounds;
    const dialled = this.#beside.find(({ link }) => link === session);
    if (dialled === undefined || session === undefined || failback === undefined) return;
    if (dialled.isRotated || this.#mayReplace) return;
    this.moves += 1;
    const lasts = Math.min(minUptime, failback.interval);
    const probes = this.#beside.filter(({ port, link }) => port === session.port && link !== session);
    const lasted = probes.slice(-this.successes).filter(({ openedAt, endedAt }) => endedAt - openedAt >= lasts);
    if (lasted.length < this.successes) {
      this.fail('failback', `it moved to server ${session.port}, where ${lasted.length} of ${this.successes} lasted`);
    }
  }

  #checkLinks(): void {
    const live = this.links.filter(({ destroyed }) => !destroyed);
    const mayLive = this.state === 'connecting' || this.state === 'open' || this.state === 'closing';
    const most = mayLive || (this.state === 'backoff' && this.#clock.now <= this.#endsBy + SLACK) ? 1 : 0;
    const isOpen = this.state === 'open';
    const { isRotated } = this.#besideOf(Infinity);
    const beside = isRotated && (isOpen || this.state === 'closing') ? 1 : 0;
    if (live.length > most + beside + (this.#mayMove && isOpen ? 1 : 0))
      this.fail('one link', `${live.length} links are there while ${this.state}`);
    const session = sessionOf(this.#connection);
    if (session === undefined) return;
    const isHeld = (link: Link) => link.destroyed || link.referenced === this.held;
    if (!isHeld(session) || (this.state === 'open' && !live.every(isHeld)))
      this.fail('ref', 'the link does not hold as it should');
  }

  /** What should have happened by now has happened. */
  #checkDue(): void {
    const { connectTimeout, closeTimeout } = this.#bounds;
    const age = this.#clock.now - this.since;
    const most = {
      idle: Infinity,
      open: Infinity,
      closed: Infinity,
      connecting: connectTimeout === 0 ? Infinity : connectTimeout + closeTimeout + SLACK,
      backoff: (this.#delay ?? Infinity) + SLACK,
      closing: closeTimeout + SLACK,
    }[this.state];
    // An attempt that `reconnect()` asks for begins in the next turn of the loop, which a process that stands still has late.
    const late = this.state === 'connecting' ? Math.max(0, this.#clock.thawedAt - this.since) : 0;
    if (age - late > most) this.fail('due', `it has been ${this.state} for ${age} ms`);
    if (this.state === 'backoff' && this.#delay === undefined) this.fail('backoff', 'a wait was not told of');
    if (this.state === 'closed' && this.#mustClose) this.fail('close', 'it is closed and has not said so');
  }

  #checkTimers(): void {
    const { timers, immediates } = this.#clock;
    const { heartbeat } = this.#bounds;
    const { timeout = Infinity, interval = 1 } = heartbeat ?? {};
    const beats = heartbeat === undefined ? 0 : 2 + (timeout === Infinity ? 0 : Math.ceil(timeout / interval));
    const beside = (this.#besideOf(Infinity).isRotated ? 4 : 0) + (this.#mayMove ? 4 : 0);
    const most = { idle: 1, connecting: 3, open: beats + 4 + beside, backoff: 3, closing: 4, closed: 0 }[this.state];
    if (timers.length > most) this.fail('timers', `${timers.length} timers while ${this.state}`);
    if (this.state === 'backoff' && timers.length === 0) this.fail('timers', 'no timer to end the wait');
    if (immediates > 0) this.fail('timers', `${immediates} immediates wait`);
    const wrong = timers.filter(({ referenced }) => referenced !== this.held);
    // The timer of the queue never holds the process.
    if (wrong.length > (this.held ? 1 : 0)) this.fail('ref', `${wrong.length} timers do not hold as they should`);
    if (this.#clock.badDelays.length > 0) this.fail('timers', `a delay of ${String(this.#clock.badDelays[0])}`);
  }

  /** An open session that is read is one that lives. */
  #checkSession(): void {
    const session = this.#session;
    if (session === undefined || this.#bounds.decoder !== 'none') return;
    const { now } = this.#clock;
    const { idleTimeout, heartbeat, writeTimeout, closeTimeout } = this.#bounds;
    const silence = now - Math.max(session.readAt, this.#resumedAt, this.#clock.thawedAt);
    if (session.closed) this.fail('session', `link ${session.number} has closed and the session is open`);
    const goesOn = this.#bounds.halfOpen && session.allowHalfOpen;
    if (session.endedAt + closeTimeout + SLACK < now && !goesOn)
      this.fail('session', 'the peer has ended and the session is open');
    if (!session.destroyed && session.unread + session.readableLength > 0) this.fail('data', 'bytes are left unread');
    if (goesOn && session.endedAt < now) this.halfOpen += 1;
    if (session.destroyed) return;
    // It was ended to be replaced, and is watched no more.
    if (session.writableEnded && (goesOn || session.endedAt === Infinity)) {
      this.#drainsSince = Math.min(this.#drainsSince, now);
      const drains = now - Math.max(this.#drainsSince, this.#resumedAt, this.#clock.thawedAt);
      // The time begins again when it is over, if the peer has taken some of what was written meanwhile.
      const most = session.progressAt >= this.#drainsSince ? session.progressAt - this.#drainsSince + closeTimeout : 0;
      if (drains > most + closeTimeout + SLACK) this.fail('session', `it has been ending for ${drains} ms`);
    }
    if (session.endedAt < Infinity || session.writableEnded) return;
    if (idleTimeout > 0 && silence > idleTimeout * LATE + SLACK) this.fail('liveness', `silent for ${silence} ms`);
    const unanswered = this.#pings.find((at) => at > session.readAt);
    const stall = now - Math.max(session.progressAt, this.#clock.thawedAt);
    if (writeTimeout > 0 && session.writableLength > 0 && stall > writeTimeout * LATE + SLACK) {
      this.fail('liveness', `nothing that was written was taken for ${stall} ms`);
    }
    // What is written goes on, so the peer lives.
    const waited = now - Math.max(unanswered ?? now, session.progressAt, this.#clock.thawedAt);
    if (heartbeat && waited > heartbeat.timeout * LATE + SLACK) {
      this.fail('liveness', `a ping was not answered for ${waited} ms`);
    }
  }
}
