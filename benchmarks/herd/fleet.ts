import { shuffle } from './calendar';
import { KERNEL_TIMEOUT, RESENDS, ROUND_TRIP, roundTrip } from './network';
import type { Policy } from './policies';
import { seeded } from './random';
import { Server, type ServerOptions } from './server';
import { type Outcome, Tally } from './tally';
import { Wheel } from './wheel';

/** Who comes back to what. */
export interface Herd extends Omit<ServerOptions, 'listensAt'> {
  readonly clients: number;
  /** How long the server is down, in milliseconds. */
  readonly outage: number;
  readonly seed: number;
  /** Nobody is waited for longer than this after the server's return, in milliseconds. */
  readonly patience: number;
  /** When a kernel sends an unanswered SYN again. Default: {@link RESENDS}. */
  readonly resends?: readonly number[];
}

// What is known of a client: a record of so many numbers.
const TRIP = 0;
const ATTEMPT = 1;
/** The wait before the present dial. */
const DELAY = 2;
/** When the first SYN of the present dial arrived. */
const DIALLED_AT = 3;
/** How often it was sent again. */
const RESENT = 4;
const FIELDS = 5;

/** The longest wait that a policy may name, in milliseconds. */
export const LONGEST_WAIT = 250_000;

/**
 * Every client for itself. At 0 the server goes, and all have had a healthy session with it; each learns of it half a
 * round trip later, and dials when its policy has let it wait. Who is served stays.
 *
 * The one event that each client waits for is the arrival of its next SYN, for all that comes before is decided by then:
 * a refusal is back after a round trip, a dropped SYN is sent again by the kernel until the client's connect timeout.
 */
export function fleet(policy: Policy, herd: Herd): Outcome {
  const { clients, outage, resends = RESENDS } = herd;
  const until = outage + herd.patience;
  const random = seeded(herd.seed);
  const backoff = policy.backoff(random);
  const server = new Server({ ...herd, listensAt: outage });
  const tally = new Tally(clients, outage, until);
  const wheel = new Wheel(FIELDS, LONGEST_WAIT + KERNEL_TIMEOUT + 2 * ROUND_TRIP.most);
  // One for all, so that a dial makes no garbage: a policy may not keep what it is given.
  const first = { attempt: 1, generation: 1 };
  const later = { attempt: 0, generation: 1, previousDelay: 0 };

  /** The dial has come to its end, `took` after it began: the client waits, and dials again. */
  const fail = (client: number, took: number) => {
    const { store } = wheel;
    later.attempt = store[client + ATTEMPT]! + 1;
    later.previousDelay = store[client + DELAY]!;
    const delay = Math.round(backoff(later)!);
    store[client + ATTEMPT] = later.attempt;
    store[client + DELAY] = delay;
    store[client + RESENT] = 0;
    wheel.move(
      client,
      store[client + DIALLED_AT]! + (policy.waitsFrom === 'start' ? Math.max(took, delay) : took + delay),
    );
  };

  for (let client = 0; client < clients; client++) {
    const trip = roundTrip(random);
    const delay = Math.round(backoff(first)!);
    const at = wheel.add(trip + delay);
    wheel.store.set([trip, 1, delay, 0, 0], at);
  }
  const due = new Int32Array(clients);
  for (let now = 1; now <= until && tally.served < clients; now++) {
    const count = wheel.due(now, due);
    // Within a millisecond nobody is first.
    shuffle(due, count, random);
    for (let index = 0; index < count; index++) {
      const client = due[index]!;
      const { store } = wheel;
      const resent = store[client + RESENT]!;
      tally.syn();
      if (resent === 0) {
        store[client + DIALLED_AT] = now;
        tally.dial(now);
      }
      if (!server.listens(now)) {
        fail(client, store[client + TRIP]!);
        continue;
      }
      const servedAt = server.accept(now);
      if (servedAt !== Infinity) {
        tally.serve(servedAt);
        continue;
      }
      const next = resends[resent] ?? Infinity;
      if (next < policy.connectTimeout) {
        store[client + RESENT] = resent + 1;
        wheel.move(client, store[client + DIALLED_AT]! + next);
      } else {
        fail(client, policy.connectTimeout);
      }
    }
    wheel.clear();
  }
  return tally.outcome(herd.capacity);
}
