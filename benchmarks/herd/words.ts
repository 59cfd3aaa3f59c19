/** A whole number with its thousands set apart. */
export function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** A figure with so many digits after the point. */
export function figure(value: number, digits = 1): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A time in seconds, or in minutes where it is long. */
export function span(milliseconds: number): string {
  const seconds = milliseconds / 1_000;
  return seconds < 120 ? `${figure(seconds)} s` : `${figure(seconds / 60)} min`;
}

/** A time that was asked for: a whole number of seconds or minutes. */
export function outage(milliseconds: number): string {
  const seconds = milliseconds / 1_000;
  return seconds < 120 ? `${seconds} s` : `${seconds / 60} min`;
}
