import type { Backoff } from '../../lib/options/backoff';
import { ConnectWindow } from '../../lib/pool/connect-window';
import { Agenda } from './agenda';
import { type Dialler, Dials } from './dials';
import { type Herd, LONGEST_WAIT } from './fleet';
import { RESENDS, roundTrip } from './network';
import type { Policy } from './policy';
import { seeded } from './random';
import { Server } from './server';
import { type Outcome, Tally } from './tally';

/** Clients in pools: each process has one pool, and one {@link ConnectWindow} for the server. */
export interface Crowd extends Herd {
  readonly processes: number;
}

export interface CrowdOutcome extends Outcome {
  /** Second dials beside one without an answer, a client; they count as attempts, too. */
  readonly hedges: number;
  /** Connections that the server accepted from clients that had one, a client. */
  readonly wasted: number;
}

/** The state of a process, as in `lib/pool/endpoint`. */
interface Process {
  readonly number: number;
  readonly window: ConnectWindow;
  /** Milliseconds to the server, one way: 1 to 100. */
  readonly way: number;
  /** Clients whose dial is overdue, and which request a second one. */
  readonly overdue: Set<number>;
  /** Clients that request a dial, in order. */
  readonly line: Set<number>;
  /** Clients that wait after a failed dial. */
  readonly resting: Set<number>;
  /** Clients that may end their wait as soon as the window has room. */
  readonly recalled: Set<number>;
}

/** Simulates clients in pools, whose dials pass the gate of the library's pools. All else is as in `fleet`. */
export function crowd(policy: Policy, options: Crowd): CrowdOutcome {
  const { clients, outage, patience, capacity } = options;
  const until = outage + patience;
  const server = new Server({ ...options, listensAt: outage });
  const tally = new Tally(clients, outage, until);
  const simulation = new CrowdSimulation(policy, options, server, tally);
  for (let now = 1; now <= until && tally.served < clients; now++) simulation.take(now);
  const { hedges, wasted } = simulation.dials;
  return { ...tally.outcome(capacity), hedges: hedges / clients, wasted: wasted / clients };
}

class CrowdSimulation implements Dialler {
  readonly dials: Dials;
  readonly #connectTimeout: number;
  readonly #backoff: Backoff;
  readonly #processes: Process[];
  /** Clients of a process. */
  readonly #share: number;
  /** When each client's wait is over. */
  readonly #waits: Agenda;
  /** When each process checks again which clients may dial. */
  readonly #gates: Agenda;
  readonly #attempt: Uint16Array;
  readonly #previousDelay: Int32Array;
  /** When the request of a client for a dial times out. */
  readonly #waitsUntil: Int32Array;

  constructor(policy: Policy, options: Crowd, server: Server, tally: Tally) {
    const { clients, processes, resends = RESENDS, seed } = options;
    const random = seeded(seed);
    this.#connectTimeout = policy.connectTimeout;
    this.#backoff = policy.backoff(random);
    this.#share = clients / processes;
    if (!Number.isInteger(this.#share)) throw new RangeError(`${clients} clients cannot be shared by ${processes}`);
    this.#processes = Array.from({ length: processes }, (_, number) => makeProcess(number, random));
    this.#waits = new Agenda(clients, LONGEST_WAIT, random);
    this.#gates = new Agenda(processes, LONGEST_WAIT, random);
    this.#attempt = new Uint16Array(clients);
    this.#previousDelay = new Int32Array(clients);
    this.#waitsUntil = new Int32Array(clients);
    this.dials = new Dials({ clients, resends, random, connectTimeout: policy.connectTimeout }, server, tally, this);
    for (let client = 0; client < clients; client++) this.#wait(client, this.way(client));
  }

  /** Goes on to `now`. */
  take(now: number): void {
    this.#waits.take(now, (client) => this.#knock(client, now));
    this.dials.take(now);
    this.#gates.take(now, (process) => this.#return(this.#processes[process]!, now));
  }

  way(client: number): number {
    return this.#processOf(client).way;
  }

  connected(client: number, now: number, took: number): void {
    const process = this.#processOf(client);
    const { window } = process;
    const isOverdue = process.overdue.delete(client);
    window.connected(now, took);
    for (const member of process.resting) process.recalled.add(member);
    process.resting.clear();
    // Before the slot is released: clients that wait keep the window open.
    this.#admit(process, now);
    window.ended(isOverdue);
    this.#admit(process, now);
  }

  overdue(client: number, now: number, took: number): void {
    const process = this.#processOf(client);
    process.window.slow(now, took);
    process.overdue.add(client);
    this.#admit(process, now);
  }

  failed(client: number, now: number, took: number, isRefused: boolean): void {
    const process = this.#processOf(client);
    const { window } = process;
    // A refusal ends the requests of all clients that wait for this dial; a timeout does not.
    const isWord = isRefused && window.phase === 'probing';
    window.failed(now, took);
    if (isWord) for (const waiting of process.line) this.#rest(waiting, process, now);
    window.ended(process.overdue.delete(client));
    this.#rest(client, process, now);
    this.#admit(process, now);
  }

  /** Waits by the client's own backoff, from `now` on. */
  #wait(client: number, now: number): void {
    const attempt = this.#attempt[client]! + 1;
    const previousDelay = this.#previousDelay[client]!;
    const delay = this.#backoff({ attempt, generation: 1, ...(attempt > 1 && { previousDelay }) })!;
    this.#attempt[client] = attempt;
    this.#previousDelay[client] = delay;
    this.#waits.set(client, now + Math.max(1, Math.round(delay)));
  }

  /** The client's wait is over. */
  #knock(client: number, now: number): void {
    const process = this.#processOf(client);
    process.resting.delete(client);
    process.recalled.delete(client);
    process.line.add(client);
    this.#waitsUntil[client] = now + this.#connectTimeout;
    this.#admit(process, now);
  }

  /** Starts the dials that the window allows, and sets the time of the next check. */
  #admit(process: Process, now: number): void {
    const { window, overdue, line, recalled } = process;
    let wait: number;
    for (;;) {
      const late = first(overdue);
      // A pool of one client dials without the window, but its hedges need it.
      wait = this.#share > 1 || late !== undefined ? window.mayDial(now) : 0;
      const next = late ?? first(line) ?? (window.phase === 'probing' ? undefined : first(recalled));
      if (wait > 0 || next === undefined) break;
      window.begun(now);
      if (overdue.delete(next)) {
        this.dials.hedge(next, now, window.slowAfter);
        continue;
      }
      line.delete(next);
      if (recalled.delete(next)) this.#waits.cancel(next);
      this.dials.begin(next, now, window.slowAfter);
    }
    if (line.size + overdue.size > 0) this.#gates.set(process.number, now + Math.max(1, Math.ceil(wait)));
    else this.#gates.cancel(process.number);
  }

  /** Requests that have timed out fail; then other clients may dial. */
  #return(process: Process, now: number): void {
    for (const client of process.window.phase === 'probing' ? process.line : []) {
      if (this.#waitsUntil[client]! <= now) this.#rest(client, process, now);
    }
    this.#admit(process, now);
  }

  /** The client waits by its own backoff, after a failed dial of its own or of the client that it waited for. */
  #rest(client: number, process: Process, now: number): void {
    process.line.delete(client);
    process.resting.add(client);
    this.#wait(client, now);
  }

  #processOf(client: number): Process {
    return this.#processes[Math.floor(client / this.#share)]!;
  }
}

function makeProcess(number: number, random: () => number): Process {
  const way = Math.ceil(roundTrip(random) / 2);
  const window = new ConnectWindow({ random });
  // The lost sessions were opened once, so the time that this takes is known.
  window.begun(0);
  window.connected(0, 2 * way);
  window.ended();
  return { number, window, way, overdue: new Set(), line: new Set(), resting: new Set(), recalled: new Set() };
}

function first<Item>(items: ReadonlySet<Item>): Item | undefined {
  const [item] = items;
  return item;
}
