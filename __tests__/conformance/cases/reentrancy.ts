import { strict as assert } from 'node:assert';
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';

import type { ReconnectingConnection } from 'reconnecting-connection';

import { EVENTS, type Heard, record } from '../../kit/record';
import type { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import type { ClientEvents } from '../adapter';
import { endsForGood, held, returnsTo } from '../farewell';
import { type Case, type Lab, within } from '../lab';

/** Section D: what listeners call while they are called. */
export const reentrancy: readonly Case[] = [
  {
    id: 'C62',
    title: 'disconnect() inside an open, data, reset or backoff listener, and every method inside every listener',
    limit: 60_000,
    run: async (lab) => {
      const events: (keyof ClientEvents)[] = ['open', 'reset'];
      if (lab.has('bytes')) events.push('data');
      if (lab.has('backoff event')) events.push('backoff');
      for (const event of events) await disconnectsInside(lab, event);
      if (lab.has('own')) await callsInside(lab);
    },
  },
];

/** A server that greets, and ends each session after a moment. */
async function serve(lab: Lab): Promise<Loopback> {
  return lab.serve({
    onSession: (socket) => {
      if (lab.has('bytes')) socket.write('hello');
      setTimeout(() => socket.end(), 50).unref();
    },
  });
}

/** `disconnect()`, called by a listener, is the end as it is anywhere else. */
async function disconnectsInside(lab: Lab, event: keyof ClientEvents): Promise<void> {
  const server = await serve(lab);
  const before = await held(lab);
  const subject = lab.create(server.target);
  const ended = new Promise<unknown>((resolve) => {
    let first = true;
    subject.client.on(event, () => {
      if (first) resolve(subject.client.disconnect());
      first = false;
    });
  });
  await endsForGood(lab, { subject, server, before, connections: 1, end: () => ended });
}

/** What a listener may call, by its name. */
const METHODS: Readonly<Record<string, (connection: ReconnectingConnection) => unknown>> = {
  connect: (connection) => connection.connect(),
  write: (connection) => connection.write('from a listener'),
  whenOpen: (connection) => void connection.whenOpen().catch(() => {}),
  reconnect: (connection) => connection.reconnect(),
  markHealthy: (connection) => connection.markHealthy(),
  // Not for good: while it is paused, the end of a session is not noticed.
  pause: (connection) => {
    connection.pause();
    setImmediate(() => connection.resume());
  },
  resume: (connection) => connection.resume(),
  ref: (connection) => connection.ref(),
  unref: (connection) => connection.unref().ref(),
  stats: (connection) => [connection.stats, connection.socket, JSON.stringify(connection), inspect(connection)],
  off: (connection) => connection.off('open', () => {}).on('open', () => {}),
  disconnect: (connection) => void connection.disconnect(),
  destroy: (connection) => connection.destroy(),
  asyncDispose: (connection) => void connection[Symbol.asyncDispose](),
};

const FINAL = ['disconnect', 'destroy', 'asyncDispose'];

/** The first so many events of a kind are answered with a call. */
const CALLS = 3;

/** Every method inside every listener: the order of events holds, and the connection goes on, or ends if it is told to. */
async function callsInside(lab: Lab): Promise<void> {
  const server = await serve(lab);
  const before = await held(lab);
  const calls = EVENTS.flatMap((event) => Object.keys(METHODS).map((method) => [event, method] as const));
  await Promise.all(calls.map(([event, method]) => callsOneInside(lab, server, event, method)));
  await returnsTo(lab, before);
  assert.equal(server.live, 0);
}

async function callsOneInside(
  lab: Lab,
  server: Loopback,
  event: (typeof EVENTS)[number],
  method: string,
): Promise<void> {
  const connection = lab.own<Buffer>({
    ...server.target,
    backoff: () => 20,
    queue: { maxAge: 5 },
    ...(event === 'message' && { decoder: () => new PassThrough() }),
  });
  // More than the socket takes at once is followed by `drain`; what waits too long is dropped.
  connection.on('open', () => {
    while (event === 'drain' && connection.write(Buffer.alloc(131_072)));
  });
  connection.on('backoff', () => connection.write('will expire'));
  const heard = record(connection);
  let calls = 0;
  let last = 0;
  const call = () => {
    if (calls >= CALLS) return;
    calls += 1;
    METHODS[method]?.(connection);
    last = heard.length;
  };
  connection.on(event, call);
  // Who listens behind the one that calls hears the same.
  const behind = record(connection);
  const what = () => `${method}() inside ${event}: ${heard.slice(-30).map(tell).join(', ')}`;

  if (event === 'close') {
    await until(() => heard.some(([name]) => name === 'open'), { what });
    void connection.disconnect();
  }
  await until(() => calls > 0, { what });
  const isFinal = FINAL.includes(method) || (event === 'close' && method !== 'connect');
  if (isFinal) await until(() => connection.state === 'closed', { what });
  else await until(() => heard.slice(last).some(([name]) => name === 'open'), { what });
  calls = CALLS;
  const { reason } = await within(connection.disconnect(), what());
  assert.equal(reason, method === 'destroy' && event !== 'close' ? 'destroyed' : 'disconnected', what());
  checkOrder(heard, what());
  assert.deepEqual(behind.map(tell), heard.map(tell), what());
}

function tell([event, ...args]: Heard): string {
  return event === 'state' ? args.join('<') : event;
}

/** Each event where it may be: sessions between `open` and `reset`, and nothing after `close` but another lifecycle. */
function checkOrder(heard: readonly Heard[], what: string): void {
  let phase: 'down' | 'up' | 'over' = 'down';
  let state: unknown = 'idle';
  for (const [event, next, previous] of heard) {
    if (event === 'state') {
      assert.equal(previous, state, what);
      assert(phase !== 'over' || next === 'connecting', what);
      state = next;
      if (phase === 'over') phase = 'down';
    } else if (event === 'open') {
      assert.equal(phase, 'down', what);
      phase = 'up';
    } else if (event === 'reset') {
      assert.equal(phase, 'up', what);
      phase = 'down';
    } else if (event === 'data' || event === 'message') {
      assert.equal(phase, 'up', what);
    } else if (event === 'backoff') {
      assert.equal(phase, 'down', what);
    } else if (event === 'close') {
      assert.equal(phase, 'down', what);
      phase = 'over';
    } else {
      assert.notEqual(phase, 'over', what);
    }
  }
  assert.equal(phase, 'over', what);
}
