/** How long the peer took to answer the pings of a heartbeat, in milliseconds. */
export interface RoundTrip {
  /** The latest. */
  readonly last: number;
  /** A moving average, as of TCP's `SRTT`: each answer counts for one eighth (RFC 6298). */
  readonly smoothed: number;
  /** The longest of this session. */
  readonly worst: number;
}

const WEIGHT = 1 / 8;

/** Adds a measurement to those before it. */
export function nextRoundTrip(before: RoundTrip | undefined, milliseconds: number): RoundTrip {
  const last = Math.round(milliseconds * 1_000) / 1_000;
  if (before === undefined) return { last, smoothed: last, worst: last };
  const smoothed = Math.round((before.smoothed + WEIGHT * (last - before.smoothed)) * 1_000) / 1_000;
  return { last, smoothed, worst: Math.max(before.worst, last) };
}
