import { Agenda } from './agenda';
import { KERNEL_TIMEOUT, RESENDS, ROUND_TRIP, roundTrip } from './network';
import type { Policy } from './policy';
import { seeded } from './random';
import { Server, type ServerOptions } from './server';
import { type Outcome, Tally } from './tally';

/** A fleet of clients, and its server. */
export interface Herd extends Omit<ServerOptions, 'listensAt'> {
  readonly clients: number;
  /** Milliseconds without a server. */
  readonly outage: number;
  readonly seed: number;
  /** The simulation ends so many milliseconds after the server's return. */
  readonly patience: number;
  /** When the kernel sends a SYN again that had no answer. Default: {@link RESENDS}. */
  readonly resends?: readonly number[];
}

/** The longest wait that a policy may return, in milliseconds. */
export const LONGEST_WAIT = 250_000;

/**
 * Simulates clients without pools. At 0 the server stops, after a healthy session with each client. A client learns of it
 * half a round trip later, waits by its policy, and dials. A client that is served stays connected.
 *
 * The only event of a client is the arrival of its next SYN at the server, because everything before it is known by then:
 * a refusal takes a round trip, and the kernel sends a dropped SYN again until the connect timeout.
 */
export function fleet(policy: Policy, herd: Herd): Outcome {
  const { clients, outage, resends = RESENDS } = herd;
  const until = outage + herd.patience;
  const random = seeded(herd.seed);
  const backoff = policy.backoff(random);
  const server = new Server({ ...herd, listensAt: outage });
  const tally = new Tally(clients, outage, until);
  const agenda = new Agenda(clients, LONGEST_WAIT + KERNEL_TIMEOUT + 2 * ROUND_TRIP.most, random);
  // Of each client: its round trip; then the number of its present dial, the wait before it, when its first SYN arrived,
  // and how often the SYN was sent again.
  const trips = new Uint8Array(clients);
  const attempts = new Uint16Array(clients);
  const delays = new Int32Array(clients);
  const dialledAt = new Int32Array(clients);
  const resent = new Uint8Array(clients);
  // Reused, so that a dial allocates nothing: a policy must not keep its argument.
  const failed = { attempt: 0, generation: 1, previousDelay: 0 };

  /** The dial has failed, `took` after it began: the client waits, and dials again. */
  const fail = (client: number, took: number) => {
    failed.attempt = attempts[client]! + 1;
    failed.previousDelay = delays[client]!;
    const delay = Math.round(backoff(failed)!);
    attempts[client]! += 1;
    delays[client] = delay;
    resent[client] = 0;
    agenda.set(client, dialledAt[client]! + (policy.waitsFrom === 'start' ? Math.max(took, delay) : took + delay));
  };
  const arrive = (client: number) => {
    tally.syn();
    if (resent[client] === 0) {
      dialledAt[client] = now;
      tally.dial(now);
    }
    if (!server.listens(now)) {
      fail(client, trips[client]!);
      return;
    }
    const servedAt = server.accept(now);
    if (servedAt !== Infinity) {
      tally.serve(servedAt);
      return;
    }
    const next = resends[resent[client]!] ?? Infinity;
    if (next < policy.connectTimeout) {
      resent[client]! += 1;
      agenda.set(client, dialledAt[client]! + next);
    } else {
      fail(client, policy.connectTimeout);
    }
  };

  for (let client = 0; client < clients; client++) {
    trips[client] = roundTrip(random);
    attempts[client] = 1;
    delays[client] = Math.round(backoff({ attempt: 1, generation: 1 })!);
    agenda.set(client, trips[client]! + delays[client]!);
  }
  let now = 1;
  for (; now <= until && tally.served < clients; now++) agenda.take(now, arrive);
  return tally.outcome(herd.capacity);
}
