import { type ReconnectingConnection, ConnectionPool, constantBackoff } from 'reconnecting-connection';

import { Clock, turn } from './clock';
import { Violation } from './model';
import { type Fault, Network } from './network';
import { Random } from '../kit/random';

/** What a run of a pool came to. */
export interface PoolResult {
  readonly violation: Violation | undefined;
  readonly trace: readonly string[];
}

/** Breaks something on purpose, for the checks to find. */
export type PoolSabotage = (pool: ConnectionPool, network: Network) => void;

/** A member, and what is known of it from outside. */
interface Member {
  readonly connection: ReconnectingConnection;
  readonly port: number;
  /** Since when it waits for its turn to dial; Infinity while it does not. */
  waitingSince: number;
  dialling: boolean;
}

const SERVERS = 3;
const CONNECT_TIMEOUT = 400;
const CLOSE_TIMEOUT = 100;

const FAULTS: Partial<Record<Fault, number>> = {
  fin: 6,
  rst: 6,
  cutShort: 3,
  send: 10,
  partition: 2,
  heal: 5,
  refuse: 3,
  ignore: 3,
  acceptFin: 3,
  acceptRst: 3,
  accept: 10,
  stall: 2,
  unstall: 4,
  crash: 2,
  restart: 3,
};

/** A pool on a network of which one server is always well and the others are not. */
export async function runPool(seed: number, steps: number, sabotage?: PoolSabotage): Promise<PoolResult> {
  const world = new World(seed);
  try {
    sabotage?.(world.pool, world.network);
    await world.walk(steps);
    await world.finish();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return { violation: error, trace: world.trace };
  } finally {
    await world.leave();
  }
  return { violation: undefined, trace: world.trace };
}

class World {
  readonly trace: string[] = [];
  readonly network: Network;
  readonly pool: ConnectionPool;
  readonly #clock = new Clock();
  readonly #random: Random;
  readonly #members: Member[] = [];
  readonly #most: number;
  readonly #violations: Violation[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed).fork(5);
    this.network = new Network(this.#clock, this.#random.fork(1), SERVERS, false, 0);
    this.network.complain = (message) => this.#fail('sent', message);
    const chance = this.#random.fork(2);
    this.#clock.install(() => chance.next());
    this.#most = this.#random.of([1, 2, 3, Infinity]);
    this.pool = new ConnectionPool({
      maxConnecting: this.#most,
      select: this.#random.of(['round-robin', 'least-pending', 'random-two', 'rendezvous'] as const),
      connectTimeout: CONNECT_TIMEOUT,
      closeTimeout: CLOSE_TIMEOUT,
      backoff: constantBackoff(30),
    });
    for (let index = this.#random.integer(2, 8); index >= 0; index--) this.#add((index % SERVERS) + 1);
  }

  async walk(steps: number): Promise<void> {
    const random = this.#random;
    for (let step = 0; step < steps; step++) {
      switch (random.weighted({ fault: 3, pass: 4, write: 3, broadcast: 1, pick: 2, flap: 1, freeze: 0.1 })) {
        case 'fault':
          // `as`: a part of the names has a weight.
          this.#inject(random.weighted(FAULTS as Record<Fault, number>), random.integer(1, SERVERS - 1));
          break;
        case 'pass':
          await this.#clock.pass(random.of([1, 10, 50, 300, 2_000]));
          break;
        case 'freeze':
          await this.#clock.freeze(5_000);
          break;
        case 'write':
          this.#write();
          break;
        case 'broadcast':
          this.#broadcast();
          break;
        case 'pick':
          this.#pick();
          break;
        case 'flap':
          // Never one whose server is always well: nothing may disturb that one.
          random.of(this.#members.filter(({ port }) => port !== 1)).connection.reconnect();
          break;
      }
      if (random.chance(0.7)) await this.#settle();
    }
  }

  /** All is well again: every member opens, and then all of it ends. */
  async finish(): Promise<void> {
    this.network.healAll();
    // Who speaks to a peer that is no more learns of it.
    this.pool.broadcast('anyone');
    await this.#clock.pass(this.#longestTurn + 2_000);
    await this.#settle();
    for (const { connection } of this.#members) {
      if (connection.state !== 'open') this.#fail('starving', `${connection.tag} is ${connection.state}`);
    }
    const ended = this.pool.disconnect();
    await this.#clock.pass(CLOSE_TIMEOUT + 2);
    await this.#settle();
    await ended;
    if (this.pool.size > 0) this.#fail('end', `${this.pool.size} members are left`);
    if (this.#clock.timers.length > 0) this.#fail('timers', `${this.#clock.timers.length} timers are left`);
    if (this.network.links.some(({ destroyed }) => !destroyed)) this.#fail('one link', 'a link is left');
    for (const violation of this.#violations) throw violation;
  }

  async leave(): Promise<void> {
    this.pool.removeAllListeners().destroy();
    await turn();
    this.#clock.uninstall();
  }

  /** How long a member may wait for its turn when all before it take as long as they can. */
  get #longestTurn(): number {
    return (Math.ceil(this.#members.length / this.#most) + 1) * (CONNECT_TIMEOUT + CLOSE_TIMEOUT + 30);
  }

  #add(port: number): void {
    const connection = this.pool.add({
      port,
      dial: () => {
        member.dialling = true;
        member.waitingSince = Infinity;
        const dialling = this.#members.filter(({ dialling: is }) => is).length;
        if (dialling > this.#most) this.#fail('maxConnecting', `${dialling} dials at once, at most ${this.#most}`);
        return this.network.dial(port);
      },
    });
    const member: Member = { connection, port, waitingSince: Infinity, dialling: false };
    this.#members.push(member);
    connection.on('state', (next, previous) => {
      this.trace.push(`${this.#clock.now} ${connection.tag} ${previous} ${next}`);
      member.dialling = false;
      member.waitingSince = next === 'connecting' ? this.#clock.now : Infinity;
    });
    connection.on('reset', ({ reason, willRetry }) => {
      if (port === 1 && willRetry) this.#fail('isolation', `a member on a healthy server was reset (${reason})`);
    });
  }

  #inject(fault: Fault, server: number): void {
    this.trace.push(`${this.#clock.now} -- ${fault} ${server}`);
    this.network.inject(fault, server);
  }

  get #open(): Member[] {
    return this.#members.filter(({ connection }) => connection.state === 'open');
  }

  #pick(): void {
    const picked = this.pool.pick(this.#random.of([undefined, 'one key', 'another']));
    const isRight = picked === undefined ? this.#open.length === 0 : picked.state === 'open';
    if (!isRight) this.#fail('pick', `picked ${picked?.state ?? 'none'} with ${this.#open.length} open`);
  }

  #write(): void {
    const before = this.#members.map(({ connection }) => offered(connection));
    const open = this.#members.map(({ connection }) => connection.state === 'open');
    this.pool.write('', () => undefined);
    const took = this.#members.filter(({ connection }, index) => offered(connection) > before[index]!);
    if (took.length !== (open.includes(true) ? 1 : 0)) this.#fail('write', `${took.length} members took one write`);
    if (took.some((member) => !open[this.#members.indexOf(member)])) this.#fail('write', 'a member took it, not open');
  }

  #broadcast(): void {
    const before = this.#members.map(({ connection }) => offered(connection));
    const open = this.#members.map(({ connection }) => connection.state === 'open');
    const count = this.pool.broadcast('');
    const expected = open.filter(Boolean).length;
    if (count !== expected) this.#fail('broadcast', `written to ${count} of ${expected} open members`);
    this.#members.forEach(({ connection }, index) => {
      if (offered(connection) - before[index]! !== (open[index] ? 1 : 0)) this.#fail('broadcast', connection.tag);
    });
  }

  async #settle(): Promise<void> {
    await this.#clock.settle();
    const { now, thawedAt } = this.#clock;
    for (const { connection, port, waitingSince } of this.#members) {
      const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
      if (accepted.writes !== confirmed.writes + uncertain.writes + dropped.writes + queued.writes) {
        this.#fail('accounting', `${connection.tag} does not account for every write`);
      }
      if (now - Math.max(waitingSince, thawedAt) > this.#longestTurn) {
        this.#fail('starving', `${connection.tag} has waited ${now - waitingSince} ms for its turn`);
      }
      const isLate =
        now - thawedAt > this.#longestTurn &&
        port === 1 &&
        (connection.state === 'connecting' || connection.state === 'backoff');
      if (isLate) this.#fail('isolation', `a member on a healthy server is ${connection.state} after ${now} ms`);
    }
    const { total, open } = this.pool.stats;
    if (total !== this.#members.length && total !== 0) this.#fail('members', `${total} of ${this.#members.length}`);
    if (total > 0 && open !== this.#open.length) this.#fail('stats', `${open} open, counted ${this.#open.length}`);
    if (this.#clock.uncaught.length > 0) this.#fail('uncaught', String(this.#clock.uncaught[0]));
    // Not at once, for the library would take it for an error of the link's or of a listener's.
    for (const violation of this.#violations) throw violation;
  }

  #fail(rule: string, message: string): void {
    this.trace.push(`VIOLATION ${rule}: ${message}`);
    this.#violations.push(new Violation(rule, message));
  }
}

/** Writes that were offered to a connection. */
function offered({ stats }: ReconnectingConnection): number {
  return stats.writes.accepted.writes + stats.writes.refused.writes;
}
