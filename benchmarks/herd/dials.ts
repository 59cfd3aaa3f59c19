import { Agenda } from './agenda';
import { KERNEL_TIMEOUT } from './network';
import type { Server } from './server';
import type { Tally } from './tally';

/** The owner of the dials: it gets their results. */
export interface Dialler {
  /** Milliseconds from the client to the server, one way. */
  way(client: number): number;
  /** The client's dial has connected, `took` after it began. */
  connected(client: number, now: number, took: number): void;
  /** It has had no answer within its patience, `took` after it began. */
  overdue(client: number, now: number, took: number): void;
  /** It was refused, or timed out. */
  failed(client: number, now: number, took: number, isRefused: boolean): void;
}

export interface DialsOptions {
  readonly clients: number;
  readonly connectTimeout: number;
  readonly resends: readonly number[];
  readonly random: () => number;
}

// The next event of a dial.
const ARRIVES = 0;
const ACCEPTED = 1;
const REFUSED = 2;
const TIMES_OUT = 3;
/** The event of the third item of a client: its last dial is overdue. */
const OVERDUE = 4;

/** Dials under way, in the kernel and the network. A client has one, and may have a second one beside it. */
export class Dials {
  readonly #clients: number;
  readonly #connectTimeout: number;
  readonly #resends: readonly number[];
  readonly #server: Server;
  readonly #tally: Tally;
  readonly #dialler: Dialler;
  /** Three items for each client: at `client` its dial, at `client + clients` its second dial, then the timer for `overdue`. */
  readonly #agenda: Agenda;
  readonly #next: Uint8Array;
  /** When the packet under way was or will be sent. */
  readonly #sentAt: Int32Array;
  readonly #dialledAt: Int32Array;
  readonly #resent: Uint8Array;
  readonly #isConnected: Uint8Array;
  readonly #isServed: Uint8Array;
  /** Second dials. */
  hedges = 0;
  /** Connections that the server accepted from clients that had one. */
  wasted = 0;

  constructor(options: DialsOptions, server: Server, tally: Tally, dialler: Dialler) {
    const { clients, connectTimeout, resends, random } = options;
    this.#clients = clients;
    this.#connectTimeout = connectTimeout;
    this.#resends = resends;
    this.#server = server;
    this.#tally = tally;
    this.#dialler = dialler;
    this.#agenda = new Agenda(3 * clients, 2 * KERNEL_TIMEOUT, random);
    this.#next = new Uint8Array(3 * clients).fill(OVERDUE, 2 * clients);
    this.#sentAt = new Int32Array(2 * clients);
    this.#dialledAt = new Int32Array(2 * clients);
    this.#resent = new Uint8Array(2 * clients);
    this.#isConnected = new Uint8Array(clients);
    this.#isServed = new Uint8Array(clients);
  }

  /** The client dials. `overdue` follows after `patience` without a result. */
  begin(client: number, now: number, patience: number | undefined): void {
    this.#dial(client, now);
    this.#watch(client, now, patience);
  }

  /** The client dials a second time; this replaces an earlier second dial. */
  hedge(client: number, now: number, patience: number | undefined): void {
    const other = client + this.#clients;
    // The answer to the earlier one is on its way.
    if (this.#agenda.has(other) && this.#next[other] === ACCEPTED) return;
    this.hedges += 1;
    this.#dial(other, now);
    this.#watch(client, now, patience);
  }

  /** Goes on to `now`. */
  take(now: number): void {
    this.#agenda.take(now, (dial) => this.#happen(dial, dial % this.#clients, now));
  }

  #happen(dial: number, client: number, now: number): void {
    switch (this.#next[dial]) {
      case ARRIVES:
        this.#arrive(dial, client, now);
        break;
      case ACCEPTED:
        if (this.#isConnected[client] === 0) this.#connect(dial, client, now);
        break;
      case OVERDUE:
        this.#dialler.overdue(client, now, now - this.#lastDialAt(client));
        break;
      default:
        this.#fail(dial, client, now);
    }
  }

  #dial(dial: number, now: number): void {
    this.#tally.dial(now);
    this.#dialledAt[dial] = now;
    this.#resent[dial] = 0;
    this.#send(dial, ARRIVES, now);
  }

  #watch(client: number, now: number, patience: number | undefined): void {
    if (patience !== undefined) this.#agenda.set(client + 2 * this.#clients, now + Math.ceil(patience));
  }

  #lastDialAt(client: number): number {
    return Math.max(this.#dialledAt[client]!, this.#dialledAt[client + this.#clients]!);
  }

  /** A packet is sent, now or later. */
  #send(dial: number, what: number, at: number): void {
    this.#next[dial] = what;
    this.#sentAt[dial] = at;
    this.#agenda.set(dial, at + this.#dialler.way(dial % this.#clients));
  }

  /** A SYN has reached the server. */
  #arrive(dial: number, client: number, now: number): void {
    this.#tally.syn();
    if (!this.#server.listens(now)) {
      this.#send(dial, REFUSED, now);
      return;
    }
    const servedAt = this.#server.accept(now);
    if (servedAt !== Infinity) {
      if (this.#isServed[client] === 1) this.wasted += 1;
      else this.#tally.serve(servedAt);
      this.#isServed[client] = 1;
      this.#send(dial, ACCEPTED, now);
      return;
    }
    if (this.#isConnected[client] === 1) return;
    const again = this.#dialledAt[dial]! + (this.#resends[this.#resent[dial]!] ?? Infinity);
    // Both dials of a client share the deadline of the first.
    const deadline = this.#dialledAt[client]! + this.#connectTimeout;
    this.#resent[dial]! += 1;
    if (again < deadline) {
      this.#send(dial, ARRIVES, again);
    } else {
      this.#next[dial] = TIMES_OUT;
      this.#agenda.set(dial, Math.max(now + 1, deadline));
    }
  }

  #connect(dial: number, client: number, now: number): void {
    this.#isConnected[client] = 1;
    const other = this.#other(dial, client);
    // A packet that was sent arrives; one that was still to be sent is cancelled.
    const isUnderWay = this.#sentAt[other]! <= now && this.#next[other] !== TIMES_OUT;
    if (!isUnderWay) this.#agenda.cancel(other);
    this.#agenda.cancel(client + 2 * this.#clients);
    this.#dialler.connected(client, now, now - this.#dialledAt[dial]!);
  }

  #fail(dial: number, client: number, now: number): void {
    const isRefused = this.#next[dial] === REFUSED;
    const other = this.#other(dial, client);
    // The other dial may still connect before the deadline.
    if (isRefused && this.#agenda.has(other)) return;
    this.#agenda.cancel(other);
    this.#agenda.cancel(client + 2 * this.#clients);
    this.#dialler.failed(client, now, now - this.#dialledAt[client]!, isRefused);
  }

  #other(dial: number, client: number): number {
    return dial === client ? client + this.#clients : client;
  }
}
