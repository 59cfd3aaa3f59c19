/**
 * When Linux sends a SYN again that was not answered, in milliseconds after the first: its `tcp_syn_retries` of 6, at
 * twice the time each. (From 6.5 on the first four are a second apart; see `MODERN_RESENDS`.)
 */
export const RESENDS: readonly number[] = [1_000, 3_000, 7_000, 15_000, 31_000, 63_000];

/** The same from Linux 6.5 on, whose `tcp_syn_linear_timeouts` is 4. */
export const MODERN_RESENDS: readonly number[] = [
  1_000, 2_000, 3_000, 4_000, 5_000, 7_000, 11_000, 19_000, 35_000, 67_000,
];

/** When the kernel gives up, for those who have no deadline of their own. */
export const KERNEL_TIMEOUT = 127_000;

/** The library's own `connectTimeout`, for ours and for policies that are published without one. */
export const OUR_TIMEOUT = 10_000;

/** There and back, from the nearest client to the farthest: a data centre, or the other side of the earth. */
export const ROUND_TRIP = { least: 1, most: 200 } as const;

/** A round trip by chance. */
export function roundTrip(random: () => number): number {
  return ROUND_TRIP.least + Math.floor(random() * (ROUND_TRIP.most - ROUND_TRIP.least + 1));
}
