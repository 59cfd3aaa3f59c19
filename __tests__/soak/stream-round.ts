import { setTimeout as wait } from 'node:timers/promises';

import { type MemberOptions, ReconnectingConnection } from 'reconnecting-connection';

import { Random } from '../kit/random';
import { Grammar } from '../fuzz/grammar';
import type { Certificates } from '../kit/certificates';
import { cleanUp } from '../kit/clean-up';
import { FaultProxy } from '../kit/fault-proxy';
import { until } from '../kit/until';
import { type Finding, MIB } from './measure';
import { Application } from './stream-application';
import { Inbox } from './stream-inbox';
import { Ledger } from './stream-ledger';
import { Nemesis } from './stream-nemesis';
import { StreamPeer } from './stream-peer';

/** Events that are shown when something is wrong. */
const SHOWN = 60;
/** How long the stream may take to flow again when all faults are gone, on a machine with much else to do. */
const PATIENCE = 20_000;
/** A round that is not over by then, its faults included, hangs. */
const LONGEST_ROUND = 90_000;

/** One connection under a nemesis, from its beginning to its end in good order. */
export class Round {
  readonly #seed: number;
  readonly #random: Random;
  readonly #certificates: Certificates;
  readonly #isPrivate: boolean;
  readonly #problems: string[] = [];
  readonly #trace: string[] = [];
  readonly #startedAt = performance.now();
  #arrived = 0;

  constructor(seed: number, certificates: Certificates, isPrivate: boolean) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#certificates = certificates;
    this.#isPrivate = isPrivate;
  }

  /** Rages for so many milliseconds, and then lets everything come to its end. */
  async run(length: number): Promise<Finding> {
    const onAccident = (error: unknown) => this.#fail(`nobody caught ${String(error)}`);
    process.on('uncaughtException', onAccident);
    let figures: Finding['figures'] = {};
    try {
      figures = await this.#play(length);
    } catch (error) {
      this.#fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
    } finally {
      await cleanUp();
      process.off('uncaughtException', onAccident);
    }
    if (this.#problems.length === 0) return { figures, problems: [] };
    const heading = `seed ${this.#seed}: ${this.#problems.slice(0, 5).join('\n')}`;
    return { figures, problems: [`${heading}\n${this.#trace.slice(-SHOWN).join('\n')}`] };
  }

  async #play(length: number): Promise<Finding['figures']> {
    const isSecret = this.#random.chance(0.4);
    const { server, ca } = this.#certificates;
    const peer = await StreamPeer.start({ seed: this.#seed, ...(isSecret && { tls: server }) });
    const proxy = await FaultProxy.start({ port: peer.port });
    const inbox = new Inbox((problem) => this.#fail(problem));
    const options = this.#options(inbox);
    const connection = new ReconnectingConnection({
      ...options,
      ...proxy.target,
      ...(isSecret && { tls: { ca: ca.cert } }),
      heartbeat: { interval: this.#random.integer(100, 500), timeout: 600, ping: () => ledger.ask() },
    });
    const ledger: Ledger = new Ledger(
      connection,
      () => application.greet(),
      (problem) => this.#fail(problem),
    );
    const grammar = new Grammar(connection);
    inbox.listen(connection);
    this.#write(connection);
    const note = (what: string) => this.#note(what);
    const application: Application = new Application(connection, (...args) => ledger.write(...args), {
      random: this.#random.fork(1),
      note,
    });
    const nemesis = new Nemesis({ proxy, peer, note, random: this.#random.fork(2) }, this.#isPrivate);
    const peak = this.#watch(ledger, options.queue?.maxBytes ?? MIB);
    try {
      const stop = setTimeout(() => {
        application.stop();
        nemesis.stop();
      }, length);
      await within(LONGEST_ROUND, Promise.all([application.live(), nemesis.rage()]));
      clearTimeout(stop);
      // Where it does not flow again, the rest may say why.
      const cast = { proxy, peer, ledger, application, inbox };
      await this.#heal(connection, cast).catch((error: unknown) => this.#fail(String(error)));
      await this.#end(connection, { peer, ledger });
    } finally {
      application.stop();
      nemesis.stop();
      clearInterval(peak.timer);
      connection.destroy();
      await peer.destroy();
    }
    for (const violation of grammar.violations) this.#fail(violation);
    const faults = Object.entries(nemesis.counts).map(([name, count]) => [`fault: ${name}`, count] as const);
    const { stats } = connection;
    return {
      sessions: stats.generation,
      dials: stats.dials,
      ...ledger.counts,
      received: inbox.count,
      arrived: this.#arrived,
      samples: ledger.samples,
      faults: faults.reduce((sum, [, count]) => sum + count, 0),
      ...Object.fromEntries(faults),
      ...application.counts,
      ...(isSecret && { 'rounds with TLS': 1 }),
    };
  }

  /** Everything flows again, in both directions, when nothing stands in the way any more. */
  async #heal(connection: ReconnectingConnection, { proxy, peer, ledger, application, inbox }: Cast): Promise<void> {
    this.#note('all is healed');
    await proxy.clear();
    connection.resume();
    let asked: number | undefined;
    let generation = 0;
    const before = inbox.count;
    const flows = async () => {
      if (connection.state === 'closed') connection.connect();
      // What went in a session that was doomed says nothing of this one.
      if (connection.generation !== generation) asked = undefined;
      generation = connection.generation;
      const told = asked === undefined ? 'refused' : ledger.told(asked);
      if (asked === undefined || (told !== undefined && told !== 'confirmed')) asked = ledger.ask();
      if (told !== 'confirmed' || connection.stats.writes.queued.writes > 0) return false;
      // It may have been confirmed and lost: then another has to go.
      if (!(await peer.has(asked))) asked = undefined;
      return connection.state === 'open' && asked !== undefined && inbox.count > before && !application.isFull;
    };
    const what = () => `flows again: ${JSON.stringify({ ...connection.stats, full: application.isFull })}`;
    await until(flows, { deadline: PATIENCE, what });
  }

  /** `disconnect()` delivers what was written before it, and leaves nothing. */
  async #end(connection: ReconnectingConnection, { peer, ledger }: Pick<Cast, 'peer' | 'ledger'>): Promise<void> {
    this.#note('disconnect() for good');
    for (let left = 20; left > 0; left--) ledger.write(this.#random.integer(16, 8_192), this.#random.chance(0.5));
    const { generation } = connection;
    const { reason } = await connection.disconnect();
    if (reason !== 'disconnected') this.#fail(`disconnect() ended with ${reason}`);
    // What is on its way over connections that nobody hears any more still arrives.
    await until(async () => (await peer.live()) === 0, { deadline: 2_000 }).catch(() => undefined);
    const arrivals = await peer.arrivals();
    this.#arrived = arrivals.reduce((sum, { frames }) => sum + frames.length, 0);
    ledger.check(arrivals);
    ledger.checkLast(generation, arrivals);
  }

  #options(inbox: Inbox): MemberOptions {
    const random = this.#random;
    return {
      backoff: { initialDelay: 10, maxDelay: random.integer(20, 200) },
      minUptime: random.of([0, 200]),
      connectTimeout: random.integer(300, 1_500),
      idleTimeout: random.integer(500, 1_200),
      closeTimeout: 5_000,
      queue: { maxBytes: random.of([0, 20_000, 200_000, MIB, 4 * MIB]), maxAge: random.of([Infinity, 500, 50]) },
      reuseReadBuffer: random.chance(0.4),
      ...(random.chance(0.4) && { decoder: inbox.decoder }),
      ...(random.chance(0.3) && { handshake: () => wait(random.integer(0, 20)) }),
    };
  }

  /** Looks at the figures time and again: their sums, and that the bytes that are held stay within their bound. */
  #watch(ledger: Ledger, maxBytes: number): { readonly timer: NodeJS.Timeout } {
    // What a full queue holds, what is handed to a socket, and the one write with which that exceeds its bound; twice.
    const bound = 2 * (maxBytes + 4 * 65_536);
    const look = () => {
      const { queued } = ledger.sample();
      if (queued.bytes > bound) this.#fail(`${queued.bytes} bytes are queued, more than ${bound}`);
    };
    return { timer: setInterval(look, 5) };
  }

  #write(connection: ReconnectingConnection): void {
    connection.on('state', (next, previous) => this.#note(`${previous} → ${next}`));
    connection.on('open', ({ generation, attempts }) => this.#note(`open ${generation} after ${attempts} dials`));
    connection.on('reset', ({ generation, reason, uncertain, error }) =>
      this.#note(`reset ${generation}: ${reason} ${error?.code ?? ''}, ${uncertain.writes} writes uncertain`),
    );
    connection.on('close', ({ reason }) => this.#note(`close: ${reason}`));
  }

  #note(what: string): void {
    this.#trace.push(`${(performance.now() - this.#startedAt).toFixed(1).padStart(9)} ms  ${what}`);
    if (this.#trace.length > 4 * SHOWN) this.#trace.splice(0, 2 * SHOWN);
  }

  #fail(problem: string): void {
    if (this.#problems.length < 100) this.#problems.push(problem);
    this.#note(`VIOLATION: ${problem}`);
  }
}

/** What `work` comes to, unless it takes longer. Nothing of it is held afterwards. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_settle, reject) => {
    timer = setTimeout(
      () => reject(new Error(`The round hangs: it is not over after ${milliseconds} ms`)),
      milliseconds,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Who plays in a round. */
interface Cast {
  readonly proxy: FaultProxy;
  readonly peer: StreamPeer;
  readonly ledger: Ledger;
  readonly application: Application;
  readonly inbox: Inbox;
}
