import { quantile } from '../statistics';
import { crowd } from './crowd';
import { type Herd, fleet } from './fleet';
import type { Policy } from './policy';
import { BACKLOG, CAPACITY } from './scenarios';
import { type Outcome, SPAN, busiestSecond } from './tally';

/** A fleet of clients that are shared evenly by targets, all of which are restarted. */
export interface Restart {
  readonly clients: number;
  readonly targets: number;
  /** Milliseconds for which each target is down, a multiple of {@link SPAN}. */
  readonly outage: number;
  /** Whether each goes down when the one before listens again, and not all at once. */
  readonly isRolling: boolean;
  /** Processes with a pool each, in which every target has as many members; undefined for clients without pools. */
  readonly processes?: number;
  readonly seed: number;
}

/** Times are in milliseconds. */
export interface RestartOutcome {
  /** Dials of all clients within the busiest second. */
  readonly peak: number;
  /** Dials a client. */
  readonly attempts: number;
  /** The most clients that are without a session at a time. */
  readonly away: number;
  /** From when a target listens again until 99 % of its clients are served: of half of the targets, and of the slowest. */
  readonly t99: number;
  readonly slowest: number;
  /** From the first restart until 99 % of all clients are served again; undefined if that did not happen. */
  readonly whole: number | undefined;
}

/** A simulation goes on for so long after the outage of a target. */
const PATIENCE = 600_000;

/**
 * Simulates each target with its clients in virtual time. No client knows more than one target, and pools have a gate for
 * each, so the targets do not affect each other: the figures of all are the sums of theirs, each from its own restart on.
 */
export function restart(
  policy: Policy,
  { clients, targets, outage, isRolling, processes, seed }: Restart,
): RestartOutcome {
  const share = clients / targets;
  if (!Number.isInteger(share)) throw new RangeError(`${clients} clients cannot be shared by ${targets} targets`);
  const step = isRolling ? outage / SPAN : 0;
  const spans = Math.ceil((outage + PATIENCE) / SPAN) + 1 + step * (targets - 1);
  const dials = new Uint32Array(spans);
  /** Clients that are without a session at the end of each span, and those that were served again. */
  const away = new Int32Array(spans);
  const served = new Uint32Array(spans);
  const back: number[] = [];
  for (let target = 0; target < targets; target++) {
    const herd: Herd = {
      clients: share,
      outage,
      // Far apart from the targets of the next seed.
      seed: seed * 10_007 + target,
      capacity: CAPACITY,
      backlog: BACKLOG,
      patience: PATIENCE,
    };
    const outcome: Outcome = processes === undefined ? fleet(policy, herd) : crowd(policy, { ...herd, processes });
    back.push(outcome.t99 ?? Infinity);
    const from = target * step;
    for (let span = from; span < spans; span++) {
      const open = outcome.open[span - from] ?? outcome.open.at(-1)!;
      dials[span]! += outcome.dials[span - from] ?? 0;
      away[span]! += share - open;
      served[span]! += open;
    }
  }
  const nearlyAll = served.findIndex((count) => count >= 0.99 * clients);
  return {
    peak: busiestSecond(dials),
    attempts: dials.reduce((sum, count) => sum + count, 0) / clients,
    away: away.reduce((most, count) => Math.max(most, count), 0),
    t99: quantile(back, 0.5),
    slowest: Math.max(...back),
    whole: nearlyAll === -1 ? undefined : (nearlyAll + 1) * SPAN,
  };
}
