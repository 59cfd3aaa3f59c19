import type { Herd } from './fleet';

/** Clients that the server can serve a second: a fifth of a millisecond for a TLS handshake and the first queries. */
export const CAPACITY = 5_000;

/** Connections in the accept queue: the default limit of Linux since 5.4 (`net.core.somaxconn`). */
export const BACKLOG = 4_096;

/** A simulation ends after this multiple of the lower bound. */
export const PATIENCE = 20;

/** Milliseconds without a server: a short interruption, a restart, a repair. */
export const OUTAGES: readonly number[] = [1_000, 30_000, 600_000];

/** Numbers of clients. */
export const FLEETS: readonly number[] = [100_000, 1_000_000];

/** Numbers of processes that share the first fleet. */
export const POOLS: readonly number[] = [1_000, 10];

/** A simulation takes at least 10 min after the outage, so that small fleets come back. */
export function herdOf(clients: number, outage: number, seed: number): Herd {
  const patience = Math.max(600_000, (PATIENCE * 1_000 * clients) / CAPACITY);
  return { clients, outage, seed, capacity: CAPACITY, backlog: BACKLOG, patience };
}
