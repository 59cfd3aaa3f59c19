import { channel } from 'node:diagnostics_channel';

import { type ReconnectingConnection, healthyIn, machineOf } from '../connection';
import { type ConnectionEvents, type ResetInfo, HEALTHY, isRequested } from '../events/events';
import { LONGEST_DELAY, now } from '../timers/deadline';
import { type Cause, type EjectInfo, type EjectionSettings, type RestoreInfo, EjectionPolicy } from './ejection-policy';

type Member<Message> = ReconnectingConnection<Message>;

/** For metrics of a whole process, which know no pool. Kept in this module: Node drops a channel that nothing references. */
const ejections = channel('reconnecting-connection:pool:eject');

/** What ejection needs of its pool. */
export interface EjectionHandler<Message> {
  readonly present: ReadonlySet<Member<Message>>;
  onEject(member: Member<Message>, info: EjectInfo): void;
  onRestore(member: Member<Message>, info: RestoreInfo): void;
}

/** Follows the events of the members of a pool, and ejects those that fail out of line with the others. */
export class Ejection<Message> {
  readonly #baseTime: number;
  readonly #policy: EjectionPolicy<Member<Message>>;
  /** Members whose lost session was counted, and whose `backoff` is no failed dial. */
  readonly #lost = new WeakSet<Member<Message>>();
  /** For the ejection that is over next; undefined where no member is ejected. */
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: EjectionSettings, handler: EjectionHandler<Message>) {
    this.#baseTime = settings.baseTime;
    this.#policy = new EjectionPolicy(settings, {
      members: handler.present,
      isOpen: ({ state }) => state === 'open',
      isHealthy: (member) => healthyIn(member) === 0,
      onEject: (member, ejected) => {
        const info = { ...ejected, restoreAt: Date.now() + ejected.duration };
        if (ejections.hasSubscribers) ejections.publish({ connection: member, tag: member.tag, ...info });
        handler.onEject(member, info);
      },
      onRestore: (member, info) => handler.onRestore(member, info),
    });
  }

  /** Number of ejected members. */
  get size(): number {
    return this.#policy.ejected.size;
  }

  has(member: Member<Message>): boolean {
    return this.size > 0 && this.#policy.ejected.has(member);
  }

  /** Those of the open members that may be picked; the same array where these are all. */
  eligible(open: readonly Member<Message>[]): readonly Member<Message>[] {
    return this.#policy.eligible(open);
  }

  /** Called with the events of a member, after the listeners of the pool. */
  observe(member: Member<Message>, event: keyof ConnectionEvents, [payload]: readonly unknown[]): void {
    const policy = this.#policy;
    if (member.state === 'closing') return;
    // `as` in all cases: the payload is that of the event.
    if (event === 'reset') {
      const { willRetry, uptime } = payload as ResetInfo;
      // One that retries has failed.
      const cause = payload as Cause;
      this.#lost.add(member);
      if (willRetry && !isRequested(cause.reason))
        policy.lost(member, now(), cause, uptime, this.#enough(member, cause));
    } else if (event === 'backoff') {
      const cause = payload as Cause;
      if (!this.#lost.delete(member) && !isRequested(cause.reason)) policy.failed(member, now(), cause);
    } else if (event === 'state') {
      if (payload === 'connecting') this.#lost.delete(member);
      return;
    } else if (event === 'open') {
      if (!this.has(member)) return;
      policy.opened(member, now(), machineOf(member).settings.minUptime);
    } else if (event === HEALTHY) {
      policy.vouched(member, now());
    } else {
      return;
    }
    this.#arm();
  }

  /** `member` has closed, or left the pool. */
  forget(member: Member<Message>): void {
    this.#policy.forget(member, now());
    this.#arm();
  }

  /**
   * How long a session must have been open to be healthy. One that has ended for its silence was silent for as long as
   * that takes to be noticed, and one that the application failed may have been bad for `baseTime`.
   */
  #enough(member: Member<Message>, { reason }: Cause): number {
    const { minUptime, idleTimeout, writeTimeout, heartbeat } = machineOf(member).settings;
    if (reason === 'idle') return minUptime + idleTimeout;
    if (reason === 'stalled') return minUptime + writeTimeout;
    if (reason === 'heartbeat' && heartbeat !== undefined) return minUptime + heartbeat.interval + heartbeat.timeout;
    return reason === 'failed' ? minUptime + this.#baseTime : minUptime;
  }

  /** Sets the timer anew. It never keeps the process alive. */
  #arm(): void {
    if (this.#timer === undefined && this.size === 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { dueAt } = this.#policy;
    if (dueAt === Infinity) return;
    const expire = () => {
      this.#policy.restoreDue(now());
      this.#arm();
    };
    this.#timer = setTimeout(expire, Math.min(Math.max(1, dueAt - now()), LONGEST_DELAY)).unref();
  }
}
