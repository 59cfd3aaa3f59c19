/** What one run found, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>;

/** A figure as the tables show it. */
export interface Column {
  readonly figure: string;
  /** Its head in the table, with the unit. */
  readonly title: string;
  /** Whether it is shown as a multiple of the first entrant's too. Default: true. */
  readonly isCompared?: boolean;
}

/** Something that is measured in rounds, against the others of its contest. */
export interface Entrant {
  readonly name: string;
  /** Measures it once, in a fresh process. */
  readonly run: () => Promise<Figures>;
}

/** What is measured together, and makes one table. */
export interface Contest {
  readonly subject: string;
  /** Unlike that of any other of the subject. */
  readonly name: string;
  readonly title: string;
  readonly columns: readonly Column[];
  /** The first is the one that the others are compared with. */
  readonly entrants: readonly Entrant[];
  /** The most rounds that are worth their time. */
  readonly rounds?: number;
}

/** What came of an entrant: one run for each round, unless it failed. */
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
 * Runs all contests in rounds: the runs that are compared are near each other in time, and none is always the first.
 * What fails once does not run again. When `signal` is aborted, the results are what there is by then.
 */
export async function hold(
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
          // What interrupts this ends its clients too.
          if (isOver()) return results;
          entry.failure = error instanceof Error ? error.message : String(error);
        }
        onRun(contest, entrant, round, entry.failure);
      }
    }
  }
  return results;
}
