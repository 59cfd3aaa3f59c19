import { type ReconnectingConnection, ConnectionPool, constantBackoff } from 'reconnecting-connection';

import { Clock, turn } from './clock';
import { Violation } from './model';
import { type Fault, Network } from './network';
import { Random } from '../kit/random';

/** What a run of a pool came to. */
export interface PoolResult {
  readonly violation: Violation | undefined;
  readonly trace: readonly string[];
  /** Writes that returned false, and twins of retired members. */
  readonly seldom: ReadonlyMap<string, number>;
}

/** Breaks something on purpose, for the checks to find. */
export type PoolSabotage = (pool: ConnectionPool, network: Network) => void;

/** A member, and what is known of it from outside. */
interface Member {
  readonly connection: ReconnectingConnection;
  readonly port: number;
  /** When it joined. */
  readonly joinedAt: number;
  /** Since when it waits for its turn to dial; Infinity while it does not. */
  waitingSince: number;
  /** Where it has a list of servers: its dials since the session opened. */
  dials: Dialled[] | undefined;
}

interface Dialled {
  readonly port: number;
  readonly at: number;
  endedAt: number;
}

const SERVERS = 3;
const CONNECT_TIMEOUT = 400;
const CLOSE_TIMEOUT = 100;
/** Of members that go back to a preferred server: how long a probe lasts, and the time between two. */
const LASTS = 150;
const FAILBACK = 400;

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
    return { violation: error, trace: world.trace, seldom: world.seldom };
  } finally {
    await world.leave();
  }
  return { violation: undefined, trace: world.trace, seldom: world.seldom };
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
  readonly #select: 'round-robin' | 'least-pending' | 'random-two' | 'rendezvous';
  readonly #retiring = new Set<ReconnectingConnection>();
  readonly #ejected = new Set<ReconnectingConnection>();
  /** Retirements that have not been told to be over. */
  #retired = 0;
  /** Whether a write returned false and no `drain` has come since. */
  owesDrain = false;
  /** Writes that returned false. */
  refusals = 0;
  /** Sessions that were replaced by one with a preferred server. */
  moves = 0;
  readonly #isTwin = new Set<Member>();

  constructor(seed: number) {
    this.#random = new Random(seed).fork(5);
    this.network = new Network(this.#clock, this.#random.fork(1), SERVERS, false, 0);
    this.network.complain = (message) => this.#fail('sent', message);
    const chance = this.#random.fork(2);
    this.#clock.install(() => chance.next());
    this.#most = this.#random.of([1, 2, 3, Infinity]);
    this.#select = this.#random.of(['round-robin', 'least-pending', 'random-two', 'rendezvous'] as const);
    this.pool = new ConnectionPool({
      maxConnecting: this.#most,
      select: this.#select,
      queue: { maxBytes: 2_000 },
      connectTimeout: CONNECT_TIMEOUT,
      closeTimeout: CLOSE_TIMEOUT,
      backoff: constantBackoff(30),
    });
    this.pool.on('state', (next, previous, _tag, connection) => this.#onState(next, previous, connection));
    this.pool.on('eject', (_info, _tag, connection) => this.#ejected.add(connection));
    this.pool.on('restore', (_info, _tag, connection) => this.#ejected.delete(connection));
    this.pool.on('drain', () => (this.owesDrain = false));
    for (let index = this.#random.integer(2, 8); index >= 0; index--) this.#add((index % SERVERS) + 1);
    // Rather another server than none: the one that is always well comes last.
    for (let count = this.#random.integer(0, 3); count > 0; count--)
      this.#addWithList([3, 2, 1].slice(this.#random.integer(0, 1)));
  }

  get seldom(): ReadonlyMap<string, number> {
    const { refusals, moves } = this;
    return new Map(Object.entries({ refusals, moves, twins: this.#isTwin.size }).filter(([, count]) => count > 0));
  }

  async walk(steps: number): Promise<void> {
    const random = this.#random;
    for (let step = 0; step < steps; step++) {
      switch (
        random.weighted({ fault: 3, pass: 4, write: 4, broadcast: 1, pick: 2, flap: 1, retire: 0.3, freeze: 0.1 })
      ) {
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
          // A member that has room again has said so.
          await this.#settle();
          this.#write(random.of([0, 1, 60, 900, 6_000]));
          break;
        case 'broadcast':
          this.#broadcast();
          break;
        case 'retire':
          this.#retire(random.of(this.#members));
          break;
        case 'pick':
          this.#pick();
          break;
        case 'flap':
          // Never one whose server is always well: nothing may disturb that one.
          this.#flap(random.of(this.#members.filter(({ port }) => port !== 1)));
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
    if (this.#retired > 0) this.#fail('retire', `${this.#retired} retirements are not over although all is well`);
    if (this.owesDrain) this.#fail('drain', 'a write returned false and no drain came although all is well');
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
        for (const member of this.#members) if (member.connection === connection) member.waitingSince = Infinity;
        // Two sockets of one dial are none of these: only Node's own dials are hedged.
        const dialling = this.network.links.filter(({ connecting, destroyed }) => connecting && !destroyed).length + 1;
        if (dialling > this.#most) this.#fail('maxConnecting', `${dialling} dials at once, at most ${this.#most}`);
        return this.network.dial(port);
      },
    });
    this.#watch(connection, port);
  }

  #addWithList(ports: readonly number[]): void {
    const connection = this.pool.add({
      target: ports.map((port) => ({ port })),
      failback: { interval: FAILBACK },
      minUptime: LASTS,
      dial: (target) => {
        const port = 'port' in target ? target.port : 0;
        const link = this.network.dial(port);
        const dialled: Dialled = { port, at: this.#clock.now, endedAt: Infinity };
        member.dials?.push(dialled);
        member.waitingSince = Infinity;
        return link.on('close', () => (dialled.endedAt = this.#clock.now));
      },
    });
    const member = this.#watch(connection, ports[0]!);
    member.dials = [];
    let isReplaced = false;
    // Where the next session was lost while the old one ended, an outage follows.
    connection.on('reset', ({ reason }) => (isReplaced = reason === 'replaced' && connection.state === 'open'));
    connection.on('open', () => {
      if (isReplaced) this.#checkMove(member);
      isReplaced = false;
      member.dials = [];
    });
  }

  /** It has moved to a server of which two probes in a row have lasted. */
  #checkMove({ connection, dials = [] }: Member): void {
    this.moves += 1;
    const port = Number(connection.tag.split(':')[1]);
    // The last one is the session.
    const probes = dials.filter((each) => each.port === port).slice(0, -1);
    const lasted = probes.slice(-2).filter(({ at, endedAt }) => endedAt - at >= LASTS);
    if (lasted.length < 2)
      this.#fail('failback', `it moved to server ${port}, where ${lasted.length} of 2 probes lasted`);
  }

  #watch(connection: ReconnectingConnection, port: number): Member {
    const member: Member = { connection, port, joinedAt: this.#clock.now, waitingSince: Infinity, dials: undefined };
    this.#members.push(member);
    connection.on('reset', ({ reason, willRetry }) => {
      if (port === 1 && willRetry) this.#fail('isolation', `a member on a healthy server was reset (${reason})`);
    });
    return member;
  }

  /** A member that it has not added is the twin of one that it retires. */
  #onState(next: string, previous: string, connection: ReconnectingConnection): void {
    this.trace.push(`${this.#clock.now} ${connection.tag} ${previous} ${next}`);
    const known = this.#members.find((member) => member.connection === connection);
    const member = known ?? this.#watch(connection, Number(connection.tag.split(':')[1]));
    if (known === undefined) this.#isTwin.add(member);
    // A twin dials by the function of the member that it replaces.
    if (!this.#isTwin.has(member)) member.waitingSince = next === 'connecting' ? this.#clock.now : Infinity;
    if (next === 'closed' && this.#retiring.delete(connection)) this.#members.splice(this.#members.indexOf(member), 1);
  }

  /** An attempt gives place to another without leaving the state. */
  #flap(member: Member): void {
    const isTwin = this.#isTwin.has(member);
    if (member.connection.state === 'connecting' && !isTwin) member.waitingSince = this.#clock.now;
    member.connection.reconnect();
  }

  #retire({ connection, dials }: Member): void {
    // A twin dials by the function of the member that it replaces, which notes the dials of that one.
    if (this.#retiring.has(connection) || dials !== undefined) return;
    this.trace.push(`${this.#clock.now} > retire ${connection.tag}`);
    this.#retiring.add(connection);
    this.#retired += 1;
    void this.pool.retire(connection).then(() => {
      this.#retired -= 1;
      if (connection.state !== 'closed') this.#fail('retire', `a retired member is ${connection.state}`);
      if (this.pool.connections.includes(connection)) this.#fail('retire', 'a retired member is still there');
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
    const others = this.#open.filter(({ connection }) => !this.#retiring.has(connection));
    const isRight = picked === undefined ? others.length === 0 : picked.state === 'open';
    if (!isRight) this.#fail('pick', `picked ${picked?.state ?? 'none'} with ${this.#open.length} open`);
  }

  /** Members that are open, and in which nothing waits, and that are not left out of picking. */
  #roomy(): Member[] {
    return this.#open.filter(({ connection }) => {
      const { socket, pendingBytes } = connection;
      const isLeftOut = this.#retiring.has(connection) || this.#ejected.has(connection);
      return !isLeftOut && pendingBytes === 0 && socket?.writable === true;
    });
  }

  #write(size: number): void {
    const roomy = this.#roomy();
    const before = new Map(this.#members.map((member) => [member, offered(member.connection)]));
    const refused = new Map(
      this.#members.map(({ connection }) => [connection, connection.stats.writes.refused.writes]),
    );
    const open = this.#open;
    const room = this.pool.write('x'.repeat(size), () => undefined);
    const took = [...before].flatMap(([member, count]) => (offered(member.connection) > count ? [member] : []));
    const others = open.filter(({ connection }) => !this.#retiring.has(connection));
    if (took.length !== 1 && others.length > 0) this.#fail('write', `${took.length} members took one write`);
    if (took.some((member) => !open.includes(member))) this.#fail('write', 'a member took it, not open');
    const isRefused = took.some(({ connection }) => connection.stats.writes.refused.writes > refused.get(connection)!);
    // Rendezvous keeps to its key.
    if (this.#select !== 'rendezvous') {
      if (isRefused && roomy.length > 0)
        this.#fail('room', `a write was refused, and ${roomy.length} members had room`);
      if (!room && this.#roomy().length > 0) this.#fail('room', 'it returned false, and a member has room');
    }
    if (room) return;
    this.owesDrain = true;
    this.refusals += 1;
  }

  #broadcast(): void {
    const before = this.#members.map(({ connection }) => offered(connection));
    const open = this.#members.map(({ connection }) => connection.state === 'open');
    const count = this.pool.broadcast('');
    const expected = open.filter(Boolean).length;
    // Those that are retired are left out once their twin is open.
    if (count > expected || count < expected - this.#retiring.size) {
      this.#fail('broadcast', `written to ${count} of ${expected} open members`);
    }
    this.#members.forEach(({ connection }, index) => {
      if (this.#retiring.has(connection)) return;
      if (offered(connection) - before[index]! !== (open[index] ? 1 : 0)) this.#fail('broadcast', connection.tag);
    });
  }

  async #settle(): Promise<void> {
    await this.#clock.settle();
    const { now, thawedAt } = this.#clock;
    for (const { connection, port, joinedAt, waitingSince } of this.#members) {
      const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
      if (accepted.writes !== confirmed.writes + uncertain.writes + dropped.writes + queued.writes) {
        this.#fail('accounting', `${connection.tag} does not account for every write`);
      }
      if (now - Math.max(waitingSince, thawedAt) > this.#longestTurn) {
        this.#fail('starving', `${connection.tag} has waited ${now - waitingSince} ms for its turn`);
      }
      const isLate =
        now - Math.max(thawedAt, joinedAt) > this.#longestTurn &&
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
