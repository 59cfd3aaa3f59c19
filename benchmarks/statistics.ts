import type { Entry, Result } from './contest';

/** The median and the quartiles. */
export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** The value below which `share` of the values lie, interpolated between neighbours. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  const above = sorted[Math.ceil(place)]!;
  // Without interpolation, which gives NaN between two infinities.
  if (below === above || place === Math.floor(place)) return below;
  return below + (above - below) * (place - Math.floor(place));
}

export function summary(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  return { median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** A figure of an entry, round by round. */
export function values({ runs }: Entry, figure: string): number[] {
  return runs.map((run) => run[figure]).filter((value): value is number => value !== undefined && !Number.isNaN(value));
}

/** The ratios of a figure to another entry's, round by round. */
export function ratios(entry: Entry, base: Entry, figure: string): number[] {
  return entry.runs.flatMap((run, round) => {
    const [value, other] = [run[figure], base.runs[round]?.[figure]];
    const ratio = value === undefined || other === undefined || other === 0 ? NaN : value / other;
    return Number.isNaN(ratio) ? [] : [ratio];
  });
}

/** Whether an entry is the first one again. */
export function isControl(entry: Entry, [first]: readonly Entry[]): boolean {
  return entry.name === `${first?.name ?? ''} again`;
}

/**
 * The A/A band of a figure: how many times as large as the other the first entrant's figure and its control's have been
 * in any round, whichever was larger. 1 where the two never differed; undefined without a control.
 */
export function band({ entries }: Pick<Result, 'entries'>, figure: string): number | undefined {
  const control = entries.find((entry) => isControl(entry, entries));
  const found = control === undefined ? [] : ratios(control, entries[0]!, figure);
  return found.length === 0 ? undefined : Math.max(...found.map((ratio) => Math.max(ratio, 1 / ratio)));
}
