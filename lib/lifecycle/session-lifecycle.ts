import type { ResetReason } from '../events/events';
import type { SessionOwner } from '../session/session';
import type { ResolvedTarget } from '../options/target';
import type { Established } from '../socket/transport';
import { NOTHING_UNCERTAIN, type Outbox } from '../writes/outbox';
import type { OpenPayload } from './open-payload';
import { OpenSession } from './open-session';
import { type FailbackHost, Failback } from './failback';
import { type ReplacementHost, Replacement } from './replacement';
import { StatsRecorder } from './stats';

/** The connection whose sessions they are. */
export interface SessionsHost extends SessionOwner, ReplacementHost, FailbackHost {
  /** The one that is open, or that ends while the connection closes. */
  readonly session: OpenSession | undefined;
}

/** A session that is there, and is still to be announced. */
export interface NewSession {
  readonly session: OpenSession;
  readonly info: OpenPayload;
}

/** Begins and ends the sessions of a connection: hands them the writes, counts them, and delivers `open` and `reset`. */
export class SessionLifecycle {
  readonly stats = new StatsRecorder();
  /** Created by the first write, and not to read figures: many connections only listen. */
  outbox: Outbox | undefined;
  readonly #host: SessionsHost;

  constructor(host: SessionsHost) {
    this.#host = host;
  }

  /** @param isNext - Whether it takes the place of another, the `reset` of which is still to be delivered. */
  begin(established: Established, isNext = false): NewSession {
    const host = this.#host;
    const session = new OpenSession(established, host);
    // A stream of another make may keep the memory of a chunk after it has confirmed it.
    this.outbox?.attach(session.transport, established.isOwn, isNext);
    if (host.state !== 'closing') {
      const { maxLifetime, failback } = host.settings;
      if (maxLifetime !== Infinity) session.replacement = new Replacement(host);
      if (failback !== undefined) session.failback = this.#failbackFor(host.attempts.preferred);
    }
    return { session, info: this.stats.recordOpen(established) };
  }

  /** The probes of a session go on in the next one with its target: those that have succeeded count on. */
  #failbackFor(preferred: readonly ResolvedTarget[]): Failback | undefined {
    const { session } = this.#host;
    const before = session?.failback;
    if (session !== undefined && before?.isFor(preferred) === true) {
      session.failback = undefined;
      return before;
    }
    return preferred.length > 0 ? new Failback(this.#host, preferred) : undefined;
  }

  /** Delivers `open`, and then lets the queue go out and bytes come in: what `open` listeners write goes first. */
  announce({ session, info }: NewSession, onAnnounced: () => void): void {
    const { delivery } = this.#host;
    const isCurrent = () => this.#host.session === session;
    delivery.enqueue(() => {
      if (!isCurrent()) return;
      session.info = info;
      this.outbox?.greet();
    });
    delivery.deliverIf(isCurrent, 'open', info);
    delivery.enqueue(() => {
      if (!isCurrent()) return;
      onAnnounced();
      session.read();
    });
  }

  /** Counts what the session leaves behind. Returns a function that reports it. */
  end(session: OpenSession, reason: ResetReason, error: Error | undefined, willRetry: boolean): () => void {
    const { uncertain, settle } = this.outbox?.detach(error) ?? NOTHING_UNCERTAIN;
    const info = this.stats.recordReset(session, reason, error, willRetry, uncertain);
    return () => {
      // A session that ended before its `open` was delivered has no `reset` either.
      this.#host.delivery.deliverIf(() => session.info !== undefined, 'reset', info);
      settle();
    };
  }

  /** Whether a session that was ended to be replaced has a next one, and writes wait for that. */
  needsNext({ replacement }: OpenSession): boolean {
    return replacement?.isDraining === true && replacement.isReady && this.outbox?.hasWaiting === true;
  }
}
