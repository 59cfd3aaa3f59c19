/** When Linux sends a SYN again, in milliseconds after the first one: `tcp_syn_retries` is 6, before 6.5 at doubling intervals. */
export const RESENDS: readonly number[] = [1_000, 3_000, 7_000, 15_000, 31_000, 63_000];

/** When the kernel gives up a dial that has no deadline of its own. */
export const KERNEL_TIMEOUT = 127_000;

/** The library's own `connectTimeout`, for policies that are published without one, too. */
export const OUR_TIMEOUT = 10_000;

/** Round trips of the nearest and the farthest client: in a data centre, and around the earth. */
export const ROUND_TRIP = { least: 1, most: 200 } as const;

export function roundTrip(random: () => number): number {
  return ROUND_TRIP.least + Math.floor(random() * (ROUND_TRIP.most - ROUND_TRIP.least + 1));
}
