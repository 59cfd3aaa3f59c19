import type { Herd } from './fleet';

/** Clients that the server can serve a second: a TLS handshake and the first queries, at a fifth of a millisecond. */
export const CAPACITY = 5_000;

/** Connections that wait to be accepted: the most that Linux grants as it comes (`net.core.somaxconn`, since 5.4). */
export const BACKLOG = 4_096;

/** Nobody is waited for longer than so many lower bounds. */
export const PATIENCE = 20;

/** How long the server is down: a blip, a restart, a repair. In milliseconds. */
export const OUTAGES: readonly number[] = [1_000, 30_000, 600_000];

/** How many come back. */
export const FLEETS: readonly number[] = [100_000, 1_000_000];

/** Among how many processes the first fleet is shared out. */
export const POOLS: readonly number[] = [1_000, 10];

/** A fleet of so many after such an outage. Nobody is waited for in vain for ever: 10 min at least, for small ones. */
export function herdOf(clients: number, outage: number, seed: number): Herd {
  const patience = Math.max(600_000, (PATIENCE * 1_000 * clients) / CAPACITY);
  return { clients, outage, seed, capacity: CAPACITY, backlog: BACKLOG, patience };
}
