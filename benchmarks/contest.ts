import { BUSY, ForeignLoad, quiet } from './machine';

/** The results of one run, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>;

/** A column of a table. */
export interface Column {
  readonly figure: string;
  /** Its head in the table, with the unit of the first row. */
  readonly title: string;
  /** Whether the rows after the first have the ratio to it, and not the figure itself. Default: true. */
  readonly isCompared?: boolean;
}

/** What a table says, beside its entries. */
export interface Heading {
  readonly subject: string;
  /** Unique within the subject. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, if that differs from other tables. */
  readonly note?: string;
  readonly columns: readonly Column[];
}

/** A table: entrants that are compared with the first of them. The second is the first again, as a control. */
export interface Contest extends Heading {
  readonly entrants: readonly string[];
  /** Whether one process measures all entrants in turn. By default each has a process of its own. */
  readonly isShared?: boolean;
  /** The rounds that are worth their time, as a multiple of those that are asked for. Default: 1. */
  readonly share?: number;
  /** Measures these entrants once, in a fresh process. */
  measure(entrants: readonly string[]): Promise<Readonly<Record<string, Figures>>>;
}

/** The results of an entrant: one run for each round, until it failed. */
export interface Entry {
  readonly name: string;
  readonly runs: Figures[];
  failure?: string;
}

export interface Result extends Heading {
  readonly entries: readonly Entry[];
  /** Runs, and how many of them were made while the machine had other work. */
  runs: number;
  busy: number;
}

export interface RunOptions {
  readonly rounds: number;
  /** How often a run is repeated that was made while the machine had other work. */
  readonly repeats: number;
  readonly onRun: (contest: Contest, entrants: readonly string[], round: number, failure?: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs all contests in rounds, so that runs that are compared are close in time, and each round begins with another
 * entrant. An entrant that fails does not run again. After `signal` is aborted, the results are incomplete.
 */
export async function runContests(
  contests: readonly Contest[],
  { rounds, repeats, onRun, signal }: RunOptions,
): Promise<Result[]> {
  const results = contests.map(({ subject, name, title, note, columns, entrants }): Result => {
    const heading = { subject, name, title, ...(note !== undefined && { note }), columns };
    return { ...heading, entries: entrants.map((entrant) => ({ name: entrant, runs: [] })), runs: 0, busy: 0 };
  });
  const roundsOf = ({ share = 1 }: Contest) => Math.max(1, Math.round(rounds * share));
  const isOver = () => signal?.aborted === true;
  for (let round = 0; round < Math.max(...contests.map(roundsOf)); round++) {
    for (const [place, contest] of contests.entries()) {
      if (round >= roundsOf(contest)) continue;
      const result = results[place]!;
      const sound = result.entries.filter(({ failure }) => failure === undefined);
      const turns = sound.map((_, turn) => sound[(turn + round) % sound.length]!);
      const groups = contest.isShared ? [turns] : turns.map((entry) => [entry]);
      for (const group of groups) {
        if (isOver()) return results;
        await runOnce(contest, result, group, repeats, isOver);
        if (isOver()) return results;
        const names = group.map(({ name }) => name);
        onRun(contest, names, round, group[0]?.failure);
      }
    }
  }
  return results;
}

async function runOnce(
  contest: Contest,
  result: Result,
  group: readonly Entry[],
  repeats: number,
  isOver: () => boolean,
): Promise<void> {
  try {
    const load = new ForeignLoad();
    const found = await contest.measure(group.map(({ name }) => name));
    const isBusy = load.share() > BUSY;
    if (isBusy && repeats > 0) {
      await quiet();
      await runOnce(contest, result, group, repeats - 1, isOver);
      return;
    }
    result.runs++;
    if (isBusy) result.busy++;
    for (const entry of group) entry.runs.push(found[entry.name]!);
  } catch (error) {
    // Ctrl-C ends the clients too, which is no failure of theirs.
    if (isOver()) return;
    for (const entry of group) entry.failure = error instanceof Error ? error.message : String(error);
  }
}
