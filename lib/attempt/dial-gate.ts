import type { FailureReason } from '../events/events';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';

/** What an attempt failed with. */
export interface Refusal {
  readonly reason: FailureReason;
  readonly error: Error;
}

/** An attempt that asks to dial. */
export interface Guest {
  /** Milliseconds for which it can wait for a sign of life of its endpoint; Infinity where that is not bounded. */
  readonly timeLeft: number;
  /** It may go on, after all: once for each time that it was told to wait, unless it leaves or is refused first. */
  admit(): void;
  /** It need not dial: another has just been refused, or (undefined) nobody had an answer in its time. */
  refuse(refusal: Refusal | undefined): void;
  /** It may dial another time beside its dial, after all: once for each time that it was overdue and told to wait. */
  hedge(): void;
}

/** A connection as its gate sees it. */
export interface Member {
  /** Ends the wait that it is in, and dials. */
  recall(): void;
}

/** What a connection holds of a gate, for all its attempts: it asks before each, and says what came of it. */
export interface Pass {
  /** How long a dial may go without an answer before it is overdue, in milliseconds; undefined for ever. */
  readonly patience: number | undefined;
  /**
   * An attempt asks to begin: to dial, where its target is fixed, or else to find out where to.
   *
   * @param held - Whether it keeps the process alive while it waits.
   * @returns whether it may at once; if not, it is told later
   */
  enter(guest: Guest, held: boolean): boolean;
  /**
   * The attempt that was let in has found out where to, and asks to dial.
   *
   * @returns whether it may at once; if not, it is told later
   */
  approach(target: ResolvedTarget): boolean;
  /**
   * Its dial is overdue: the last one, if there are two, has had no answer for `took` milliseconds.
   *
   * @returns whether it may dial another time beside the first, at once; if not, it is told later
   */
  overdue(took: number): boolean;
  /** Its dial has connected, `took` milliseconds after it began. */
  connected(took: number): void;
  /** Its dial has failed before it was connected, `took` milliseconds after it began, for a reason that all will find. */
  failed(took: number, refusal: Refusal): void;
  /** The attempt is over. */
  leave(): void;
  /** Whether an attempt that waits to be let in keeps the process alive. */
  hold(held: boolean): void;
  /** The connection waits for its next attempt; it is recalled if its endpoint is back before it rises. */
  rest(): void;
  /** The wait is over. */
  rise(): void;
  /** The connection's lifecycle has ended. */
  close(): void;
}

/** Who may dial, and when. */
export interface Gate {
  /** A pass for a connection. */
  join(member: Member, settings: Settings): Pass;
}

/** The pass of those whom nobody stops: one for all of them. */
const freePass: Pass = {
  patience: undefined,
  enter: () => true,
  approach: () => true,
  overdue: () => true,
  connected: nothing,
  failed: nothing,
  leave: nothing,
  hold: nothing,
  rest: nothing,
  rise: nothing,
  close: nothing,
};

/** The gate that lets everyone through at once. */
export const openGate: Gate = { join: () => freePass };

function nothing(): void {
  // Nobody needs to know.
}
