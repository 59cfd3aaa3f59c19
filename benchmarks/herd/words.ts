/** A whole number with a comma after each thousand. */
export function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** A number with `digits` decimals. */
export function figure(value: number, digits = 1): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A measured time: seconds, or minutes from two on. */
export function span(milliseconds: number): string {
  const seconds = milliseconds / 1_000;
  return seconds < 120 ? `${figure(seconds)} s` : `${figure(seconds / 60)} min`;
}

/** A given time: a whole number of seconds or minutes. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1_000;
  return seconds < 120 ? `${seconds} s` : `${seconds / 60} min`;
}
