import { getEventListeners, on, once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';

import {
  type ConnectionOptions,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
} from 'reconnecting-connection';

import { type Finding, differences, growth, holdings, holdingsOnceLike, ifAbove, unlessEqual } from './measure';

/** The share of all rounds after which growth counts. */
const WARM_UP = 0.25;

/** Runs `round` so often, and compares what the process holds when a quarter is done and when all is. */
async function rounds(count: number, round: () => Promise<unknown>): Promise<Finding> {
  const warmUp = Math.ceil(count * WARM_UP);
  for (let done = 0; done < warmUp; done++) await round();
  const warm = await holdings();
  const startedAt = performance.now();
  for (let done = warmUp; done < count; done++) await round();
  const perSecond = Math.round((count - warmUp) / ((performance.now() - startedAt) / 1_000));
  const late = await holdingsOnceLike(warm);
  const { figures, problems } = growth(warm, late, count);
  return { figures: { count, perSecond, ...figures }, problems: [...problems, ...differences(warm, late)] };
}

/** How many wait for a session or a message all the while. */
const WAITERS = 100;

/** Dials that fail `count` times by the server's fault, while many wait for a session and for messages. */
export async function failuresWithWaiters(target: ConnectionOptions, count: number): Promise<Finding> {
  const connection = new ReconnectingConnection({ backoff: () => 60_000, autoConnect: false, ...target });
  const stop = new AbortController();
  const { signal } = stop;
  const waiters: Promise<unknown>[] = [];
  for (let each = 0; each < WAITERS; each++) {
    waiters.push(connection.whenOpen({ signal }), connection.whenOpen({ attempts: count + 1 }));
    waiters.push(on(connection, 'message', { signal: new AbortController().signal }).next());
    waiters.push(once(connection, 'open'));
  }
  let rejected = 0;
  for (const waiter of waiters) waiter.catch(() => (rejected += 1));

  const found = await rounds(count, () => {
    const failed = new Promise((resolve) => connection.once('backoff', resolve));
    connection.reconnect();
    return failed;
  });
  const early = rejected;
  connection.destroy();
  await turn();
  return {
    ...found,
    problems: [
      ...found.problems,
      ...unlessEqual('waiters that gave up before the end', early, 0),
      ...unlessEqual('whenOpen() that rejected at the end', rejected, 2 * WAITERS),
      ...unlessEqual('failed dials', connection.stats.failures, count),
    ],
  };
}

/** A pool whose members fail `count` times in all. */
export async function failingPool(target: ConnectionOptions, count: number): Promise<Finding> {
  // Without coordination: a pool would dial a dead target about once a second, and this is about many failures.
  const pool = new ConnectionPool({ ...target, backoff: () => 60_000, maxConnecting: 4, coordinateDials: false });
  const members = Array.from({ length: 10 }, () => pool.add({}));
  let failures = 0;
  pool.on('backoff', () => (failures += 1));
  await Promise.all(members.map((member) => new Promise((resolve) => member.once('backoff', resolve))));
  const found = await rounds(Math.ceil(count / members.length), async () => {
    const failed = members.map((member) => new Promise((resolve) => member.once('backoff', resolve)));
    for (const member of members) member.reconnect();
    await Promise.all(failed);
  });
  const { size } = pool;
  await pool.disconnect();
  return {
    ...found,
    problems: [
      ...found.problems,
      ...unlessEqual('members', size, members.length),
      ...unlessEqual('members after the end', pool.size, 0),
      ...unlessEqual('failures that were told', failures, (Math.ceil(count / members.length) + 1) * members.length),
    ],
  };
}

/** Members that join a pool, open, and leave it: `count` in all, each in one of three ways. */
export async function passingMembers(target: ConnectionOptions, count: number): Promise<Finding> {
  const pool = new ConnectionPool({ ...target, signal: new AbortController().signal });
  let turnOf = 0;
  const found = await rounds(count, async () => {
    const member = pool.add({});
    await member.whenOpen();
    turnOf += 1;
    if (turnOf % 3 === 0) await pool.remove(member);
    else if (turnOf % 3 === 1) await pool.remove(member.tag);
    else member.destroy();
  });
  return { ...found, problems: [...found.problems, ...unlessEqual('members after the end', pool.size, 0)] };
}

/** Connections that a registry makes and that close: `count` in all. */
export async function passingConnections(target: ConnectionOptions, count: number): Promise<Finding> {
  const registry = new ConnectionRegistry();
  const found = await rounds(count, async () => {
    const connection = registry.connect(target);
    await connection.whenOpen();
    await connection.disconnect();
    if (registry.getConnection(connection.tag) !== undefined) throw new Error('A closed connection can be looked up');
  });
  return found;
}

/** `count` sessions of several connections, and as many that wait for them, all with one signal. */
export async function oneSignal(target: ConnectionOptions, count: number): Promise<Finding> {
  const { signal } = new AbortController();
  const listeners = () => getEventListeners(signal, 'abort').length;
  const options = { ...target, signal };
  const connections = Array.from({ length: 10 }, () => new ReconnectingConnection(options));
  let most = 0;
  const found = await rounds(Math.ceil(count / connections.length), async () => {
    for (const connection of connections) {
      connection.markHealthy();
      connection.reconnect();
    }
    await Promise.all(connections.map((connection) => connection.whenOpen({ signal })));
    most = Math.max(most, listeners());
  });
  await Promise.all(connections.map((connection) => connection.disconnect()));
  return {
    ...found,
    problems: [
      ...found.problems,
      ...ifAbove('listeners on the signal', most, 1),
      ...unlessEqual('listeners on the signal after the end', listeners(), 0),
    ],
  };
}
