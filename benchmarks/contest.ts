/** The results of one run, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>;

/** A column of a table. */
export interface Column {
  readonly figure: string;
  /** Its head in the table, with the unit. */
  readonly title: string;
  /** Whether a second column has the multiple of the first entrant's figure. Default: true. */
  readonly isCompared?: boolean;
}

/** A row of a table: something that is measured in each round. */
export interface Entrant {
  readonly name: string;
  /** Measures it once, in a fresh process. */
  readonly run: () => Promise<Figures>;
}

/** A table: entrants that are compared with each other. */
export interface Contest {
  readonly subject: string;
  /** Unique within the subject. */
  readonly name: string;
  readonly title: string;
  readonly columns: readonly Column[];
  /** The others are compared with the first. */
  readonly entrants: readonly Entrant[];
  /** The most rounds that are worth their time. Default: as many as are asked for. */
  readonly rounds?: number;
}

/** The results of an entrant: one run for each round, until it failed. */
export interface Entry {
  readonly name: string;
  readonly runs: Figures[];
  failure?: string;
}

export interface Result {
  readonly contest: Contest;
  readonly entries: readonly Entry[];
}

/**
 * Runs all contests in rounds, so that runs that are compared are close in time, and each round begins with another
 * entrant. An entrant that fails does not run again. After `signal` is aborted, the results are incomplete.
 */
export async function runContests(
  contests: readonly Contest[],
  rounds: number,
  onRun: (contest: Contest, entrant: Entrant, round: number, failure?: string) => void,
  signal?: AbortSignal,
): Promise<Result[]> {
  const results = contests.map((contest) => ({
    contest,
    entries: contest.entrants.map(({ name }): Entry => ({ name, runs: [] })),
  }));
  const isOver = () => signal?.aborted === true;
  for (let round = 0; round < rounds; round++) {
    for (const { contest, entries } of results) {
      const { entrants } = contest;
      if (round >= (contest.rounds ?? Infinity)) continue;
      for (let turn = 0; turn < entrants.length; turn++) {
        const index = (turn + round) % entrants.length;
        const [entrant, entry] = [entrants[index]!, entries[index]!];
        if (isOver()) return results;
        if (entry.failure !== undefined) continue;
        try {
          entry.runs.push(await entrant.run());
        } catch (error) {
          // Ctrl-C ends the clients too, which is no failure of theirs.
          if (isOver()) return results;
          entry.failure = error instanceof Error ? error.message : String(error);
        }
        onRun(contest, entrant, round, entry.failure);
      }
    }
  }
  return results;
}
