import { ConnectionError } from '../errors';
import { shielded } from '../events/emitter';
import type { Complete } from '../options/checks';
import type { HeartbeatOptions } from '../options/options';
import { type Refable, Deadline } from '../timers/deadline';
import { type SilenceHandler, Silence } from '../timers/silence';
import { type RoundTrip, nextRoundTrip } from './round-trip';
import type { Watched } from './watches';

/** How often it is asked within the interval of an `idle` heartbeat whether something was written. */
const SAMPLES = 8;

/**
 * Pings a peer, and finds one from which no byte comes within `timeout` of a ping, and of the last progress of what is
 * written: a ping waits behind the bytes before it, and a kernel that takes more of them has heard from the peer's.
 */
export class Heartbeat implements Refable, SilenceHandler {
  /** The answers to the pings up to now. */
  roundTrip: RoundTrip | undefined;

  readonly #options: Complete<Omit<HeartbeatOptions, 'ping'>>;
  readonly #ping: () => void;
  readonly #watched: Watched;
  #ref: boolean;
  #next: Deadline | undefined;
  /** Writes up to the last look, and when there was none of them yet. */
  #writes = 0;
  #writtenAt = 0;
  /** Bounds the time to an answer; undefined where none is expected. */
  readonly #silence: Silence | undefined;
  /** When the oldest ping went out that is not answered: any byte answers all of them. */
  #unansweredSince: number | undefined;
  #pingedAt = -Infinity;
  /** Whether that ping was passed to a kernel that had room. */
  #wentAtOnce = false;
  #isBlocked = false;
  #taken = 0;
  /** Whether the kernel has taken bytes behind which that ping may wait. */
  #hasProgress = false;

  constructor(options: Complete<Omit<HeartbeatOptions, 'ping'>>, ping: () => void, watched: Watched, ref: boolean) {
    this.#options = options;
    this.#ping = ping;
    this.#watched = watched;
    this.#ref = ref;
    if (options.timeout !== Infinity) this.#silence = new Silence(options.timeout, this, ref);
  }

  start(): void {
    this.#writes = this.#watched.writes();
    this.#writtenAt = performance.now();
    this.#wait(this.#writtenAt);
  }

  stop(): void {
    this.#next?.clear();
    this.#stopAwaiting();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#next?.setRef(ref);
    this.#silence?.setRef(ref);
  }

  /** Something was received, which answers all pings. */
  onBytes(): void {
    const since = this.#unansweredSince;
    if (since === undefined) return;
    // Neither the wait behind our own bytes nor our own standstill is the peer's.
    const isOurs = !this.#wentAtOnce || this.#silence?.isLate === true;
    if (!isOurs) this.roundTrip = nextRoundTrip(this.roundTrip, performance.now() - since);
    this.#stopAwaiting();
  }

  /** Pings after a standstill of this process, unless it has done so since. */
  onStandstill(milliseconds: number): void {
    if (performance.now() - this.#pingedAt < milliseconds) return;
    this.#next?.clear();
    this.#beat(performance.now());
  }

  /** Whether our own bytes make progress. What a kernel with room takes is none: it does so without the peer. */
  hasSign(): boolean {
    const { isBlocked, taken } = this.#watched.outflow();
    const hasProgress = (isBlocked || this.#isBlocked) && taken !== this.#taken;
    this.#isBlocked = isBlocked;
    this.#taken = taken;
    this.#hasProgress ||= hasProgress;
    return hasProgress;
  }

  onSilent(): void {
    const { tag } = this.#watched;
    const { timeout } = this.#options;
    const { waiting } = this.#watched.outflow();
    let message = `No byte came from ${tag} within ${timeout} ms of a ping`;
    if (waiting > 0) message += ', while bytes waited in the socket and the kernel took none of them';
    else if (this.#hasProgress) message += ', which went out behind other bytes';
    if (waiting > 0 || this.#hasProgress) message += ': a peer that reads slowly needs a longer `heartbeat.timeout`';
    this.#watched.onDead('heartbeat', new ConnectionError('ERR_HEARTBEAT', message, { tag }));
  }

  #wait(now: number): void {
    const { interval, idle } = this.#options;
    const sample = Math.max(1, Math.floor(interval / SAMPLES));
    const delay = idle ? Math.min(sample, Math.ceil(this.#writtenAt + interval - now)) : interval;
    this.#next = new Deadline(delay, this.#ref, this.#look);
  }

  readonly #look = (): void => {
    const now = performance.now();
    if (this.#options.idle) {
      const writes = this.#watched.writes();
      if (writes !== this.#writes) this.#writtenAt = now;
      this.#writes = writes;
      if (now < this.#writtenAt + this.#options.interval) return this.#wait(now);
    }
    this.#beat(now);
  };

  #beat(now: number): void {
    this.#pingedAt = now;
    this.#writtenAt = now;
    this.#wait(now);
    this.#awaitAnswer(now);
    shielded(this.#ping);
    this.#writes = this.#watched.writes();
  }

  #awaitAnswer(now: number): void {
    if (this.#silence === undefined || this.#unansweredSince !== undefined) return;
    this.#hasProgress = false;
    this.#unansweredSince = now;
    this.#silence.start();
    this.#hasProgress = false;
    this.#wentAtOnce = !this.#isBlocked;
  }

  #stopAwaiting(): void {
    this.#silence?.stop();
    this.#unansweredSince = undefined;
  }
}
