import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';

import { Application, PING, Planned } from './application';
import { Clock, turn } from './clock';
import { sessionOf } from './ledger';
import { type Violation, violationOf } from './model';
import { Network } from './network';
import type { Action, Plan, Setup } from './plan';
import { Random } from '../kit/random';

/** What a run came to. */
export interface Result {
  readonly violation: Violation | undefined;
  /** Steps done, the one that failed included. */
  readonly steps: number;
  readonly trace: readonly string[];
  /** Of the whole trace: the same for the same plan. */
  readonly digest: string;
  readonly events: ReadonlyMap<string, number>;
  readonly transitions: ReadonlyMap<string, number>;
  /** By their reason. */
  readonly resets: ReadonlyMap<string, number>;
  readonly drops: ReadonlyMap<string, number>;
  /** What the application called, from without and from within. */
  readonly calls: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, number>;
  /** Checks of a session that goes on after the peer's end, and bytes that nobody heard. */
  readonly seldom: ReadonlyMap<string, number>;
  readonly writes: number;
  readonly dials: number;
  readonly simulated: number;
}

/** Breaks something on purpose, for the checks to find. */
export type Sabotage = (application: Application) => void;

/** Carries out a plan from beginning to end on a world of its own. */
export async function run(plan: Plan, sabotage?: Sabotage): Promise<Result> {
  const { setup, steps } = plan;
  const random = new Random(plan.seed).fork(3);
  const chance = random.fork(1);
  const trace: string[] = [];
  const clock = new Clock();
  const network = new Network(clock, random.fork(2), setup.servers, setup.handshake !== 'none', setup.chatter);
  clock.install(() => chance.next());
  let done = 0;
  let violation: Violation | undefined;
  let application: Application | undefined;
  try {
    application = new Application(plan, clock, network, random.fork(4), (line) => void trace.push(line));
    sabotage?.(application);
    for (const { action, hops } of steps) {
      done += 1;
      if (action.do === 'pass' || action.do === 'freeze' || action.do === 'fault') trace.push(textOf(clock, action));
      await perform(application, action);
      for (let hop = 0; hop < (hops ?? 0); hop++) await Promise.resolve();
      if (hops === null) await settle(application);
      else application.model.check();
      throwViolation(application);
    }
    await settle(application);
    await finish(application, plan);
  } catch (error) {
    violation = violationOf(error);
  } finally {
    application?.connection.removeAllListeners();
    application?.connection.destroy();
    await turn();
    clock.uninstall();
  }
  return {
    violation,
    steps: done,
    trace,
    digest: createHash('sha1').update(trace.join('\n')).digest('hex'),
    events: application?.model.heard ?? new Map<string, number>(),
    transitions: application?.model.visited ?? new Map<string, number>(),
    resets: application?.model.resets ?? new Map<string, number>(),
    drops: application?.model.drops ?? new Map<string, number>(),
    calls: application?.calls ?? new Map<string, number>(),
    faults: network.injected,
    seldom: seldom(application),
    writes: application?.model.ledger.size ?? 0,
    dials: application?.connection.stats.dials ?? 0,
    simulated: clock.now,
  };
}

function seldom(application: Application | undefined): Map<string, number> {
  const { halfOpen = 0, probes = 0, moves = 0 } = application?.model ?? {};
  const unheardBytes = application?.connection.stats.unheardBytes ?? 0;
  return new Map(
    Object.entries({ halfOpen, unheardBytes, probes, 'moves of one': moves }).filter(([, count]) => count > 0),
  );
}

function textOf(clock: Clock, action: Action): string {
  return `${clock.now} -- ${Object.values(action).join(' ')}`;
}

async function perform(application: Application, action: Action): Promise<void> {
  const { clock, network } = application;
  if (action.do === 'pass') await clock.pass(action.ms);
  else if (action.do === 'freeze') await clock.freeze(action.ms);
  else if (action.do === 'fault') network.inject(action.fault, action.server);
  else application.perform(action);
}

/** Lets everything run that is due, and sees that all is as it should be. */
async function settle(application: Application): Promise<void> {
  const { clock, model } = application;
  await clock.settle();
  model.checkQuiet();
  const accidents = clock.uncaught.filter((error) => !(error instanceof Planned));
  if (accidents.length > 0) model.fail('uncaught', String(accidents[0]));
  if (clock.uncaught.length !== application.thrown) {
    model.fail('uncaught', `${application.thrown} were thrown, ${clock.uncaught.length} reported`);
  }
}

/** Heals the world and sees that the connection recovers, then ends it and sees that nothing is left. */
async function finish(application: Application, plan: Plan): Promise<void> {
  const { clock, network, connection, model, controller } = application;
  application.calm = true;
  network.healAll();
  application.perform({ do: 'resume' });
  application.perform({ do: 'listen' });
  if (!controller.signal.aborted) {
    await recover(application, plan);
    await settle(application);
    throwViolation(application);
  }

  const { ending, signal, closeTimeout } = plan.setup;
  if (connection.state === 'idle' || ending === 'destroy') application.perform({ do: 'destroy' });
  else if (ending === 'abort' && signal) application.perform({ do: 'abort' });
  else application.perform({ do: 'disconnect' });
  await clock.pass(closeTimeout + 2);
  await settle(application);
  model.checkClosed();
  if (connection.state !== 'closed') model.fail('end', `it is ${connection.state} after its end`);
  if (application.waiting > 0) model.fail('promises', `${application.waiting} promises have not settled`);
  const listeners = getEventListeners(controller.signal, 'abort').length;
  if (listeners > 0) model.fail('signal', `${listeners} listeners are left on the signal`);
  await clock.pass(300_000);
  await settle(application);
  throwViolation(application);
}

/** How long what was well once may still take to be found dead and to be replaced. */
const ROUNDS = 4;

async function recover(application: Application, { setup }: Plan): Promise<void> {
  const { clock, network, connection, model } = application;
  const { connectTimeout, closeTimeout } = setup;
  if (connection.state === 'closing') await clock.pass(closeTimeout + 2);
  if (connection.state === 'idle' || connection.state === 'closed') application.perform({ do: 'connect' });
  const isWell = () => {
    const link = sessionOf(connection);
    if (connection.state !== 'open' || link === undefined) return false;
    // It was ended for the next one, which has come or is on its way.
    const isReplaced = setup.maxLifetime < Infinity || setup.failback !== undefined;
    if (isReplaced && link.writableEnded) return true;
    return network.peerOf(link)?.gone === false && !link.destroyed;
  };
  // Speaking to a peer that is no more is how one learns of it.
  if (connection.state === 'open') application.perform(PING);
  for (let round = 0; round < ROUNDS; round++) {
    const { state } = connection;
    if (state === 'backoff') await clock.pass(Math.max(0, model.dueAt - clock.now) + 1);
    if (state === 'connecting') await clock.pass((connectTimeout === 0 ? 130_000 : connectTimeout) + closeTimeout + 2);
    if (state === 'open') await clock.pass(1_000 + closeTimeout);
    await settle(application);
    throwViolation(application);
    if (connection.state === 'closed') {
      const bounded = setup.maxRetries < Infinity || setup.maxElapsed < Infinity;
      if (!bounded) model.fail('recovery', 'it closed although nothing was wrong any more');
      return;
    }
  }
  if (!isWell()) model.fail('recovery', `it is ${connection.state} long after all was well again`);
  throwViolation(application);
  await clock.pass(2_000);
  if (!isWell()) model.fail('recovery', `a session was lost although all was well: ${connection.state}`);
  throwViolation(application);
  await goBack(application, setup);
  const link = sessionOf(connection)!;
  const isSent = () => connection.stats.writes.queued.writes === 0 && link.handed.taken === link.handed.length;
  // A heartbeat may be under way at any time.
  for (let wait = 0; wait < 300 && !isSent(); wait++) await clock.pass(90);
  if (!isSent()) model.fail('recovery', 'writes still wait, or have not arrived, although all is well');
  if (model.owesDrain) model.fail('drain', 'a write returned false and no drain came although all is well');
  for (let wait = 0; wait < 40 && network.peerOf(link)?.busy === true; wait++) await clock.pass(9);
  // Another may have taken its place.
  if (sessionOf(connection) !== link) return;
  const peer = network.peerOf(link)!;
  if (peer.sent.taken !== peer.sent.length && !peer.busy && setup.decoder === 'none') {
    model.fail('recovery', 'not all that the peer sent has been told');
  }
}

/** With `failback`, it comes to the server that it prefers. */
async function goBack({ clock, network, connection, model }: Application, setup: Setup): Promise<void> {
  const { failback, maxLifetime, servers, minUptime, closeTimeout } = setup;
  if (failback === undefined || maxLifetime < 20_000) return;
  const probe = failback.interval * 2.25 + minUptime + closeTimeout + 1_000;
  for (let wait = 0; wait < servers * (failback.successes + 2) && sessionOf(connection)?.port !== 1; wait++)
    await clock.pass(probe);
  const port = sessionOf(connection)?.port;
  if (port !== 1 && connection.state !== 'closed' && network.servers[0]?.welcome === 'accept')
    model.fail('failback', `it is with server ${port} long after all was well again`);
}

function throwViolation({ model }: Application): void {
  const [violation] = model.violations;
  if (violation !== undefined) throw violation;
}
