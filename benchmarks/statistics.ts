import type { Entry } from './contest';

/** The middle of some values, and the two quarters around it. */
export interface Summary {
  readonly median: number;
  /** A quarter of the values is below. */
  readonly low: number;
  /** A quarter is above. */
  readonly high: number;
}

/** The value below which such a share of all lies, between two neighbours where it falls between them. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  const above = sorted[Math.ceil(place)]!;
  // Also where both are infinite.
  if (below === above || place === Math.floor(place)) return below;
  return below + (above - below) * (place - Math.floor(place));
}

export function summary(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  return { median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** A figure of an entry, round by round. */
export function values({ runs }: Entry, figure: string): number[] {
  return runs.map((run) => run[figure]).filter((value) => value !== undefined);
}

/** How a figure compares with another entry's in the same rounds. */
export function ratios(entry: Entry, base: Entry, figure: string): number[] {
  return entry.runs.flatMap((run, round) => {
    const [value, other] = [run[figure], base.runs[round]?.[figure]];
    const ratio = value === undefined || other === undefined || other === 0 ? NaN : value / other;
    return Number.isNaN(ratio) ? [] : [ratio];
  });
}
