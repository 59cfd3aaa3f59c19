import { strict as assert } from 'node:assert';
import { getEventListeners } from 'node:events';

import { payload } from '../../kit/connections';
import { serveElsewhere } from '../../kit/processes';
import type { Client, ClientEvents } from '../adapter';
import { CYCLES, type Case, type Lab, within } from '../lab';

/** Section I: faulty listeners, and what is left at the end. */
export const endings: readonly Case[] = [
  {
    id: 'C103',
    title: 'a listener that throws is reported once for each event, the others hear it, and the connection goes on',
    limit: 60_000,
    run: async (lab) => {
      lab.expectsFaults = true;
      const events: (keyof ClientEvents)[] = ['open', 'reset'];
      if (lab.has('bytes')) events.push('data');
      if (lab.has('backoff event')) events.push('backoff');
      const faults: Record<string, () => unknown> = {
        throws: () => {
          throw new Error('a fault');
        },
        rejects: () => Promise.reject(new Error('a fault')),
      };
      for (const [how, fault] of Object.entries(faults)) await faultyListeners(lab, events, how, fault);
    },
  },
  {
    id: 'C104',
    title:
      'session upon session leaves nothing behind; after disconnect() nothing holds the process for 100 ms; what is closed is collected',
    limit: 180_000,
    exits: true,
    run: async (lab) => {
      await leavesNow(lab);
      await isCollected(lab);
      if (lab.has('own')) await cycles(lab);
    },
  },
];

async function faultyListeners(
  lab: Lab,
  events: readonly (keyof ClientEvents)[],
  how: string,
  fault: () => unknown,
): Promise<void> {
  const server = await lab.serve({ echo: lab.has('bytes') });
  const subject = lab.create(server.target);
  const later: string[] = [];
  for (const event of events) {
    subject.client.on(event, fault);
    subject.client.on(event, () => later.push(event));
  }
  lab.surfaced.length = 0;
  for (const generation of [1, 2, 3]) {
    await subject.waitFor('open', generation);
    await within(server.session(generation), `session ${generation} at the server`);
    if (lab.has('bytes')) {
      subject.client.write('hello');
      await subject.until(`an echo in session ${generation}`, () => subject.received.length >= 5 * generation);
    }
    server.drop();
    await subject.waitFor('reset', generation);
  }
  const heard = () => subject.names(...events);
  await subject.until('a listener behind a faulty one hears what it heard', () => later.length >= heard().length);
  await subject.client.disconnect();
  await new Promise((resolve) => setImmediate(resolve));

  assert.deepEqual(later, heard(), `when a listener ${how}`);
  assert.equal(lab.surfaced.length, heard().length, `when a listener ${how}`);
}

/** What holds a process: timers and sockets, those of the servers in this one aside. */
function holding(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /Timeout|TCPSocket|Connect|GetAddr/.test(name));
}

async function leavesNow(lab: Lab): Promise<void> {
  for (const situation of ['open', 'backoff'] as const) {
    const before = holding().length;
    const server = await lab.serve();
    const client = lab.adapter.create(server.target);
    await within(new Promise<void>((resolve) => client.on('open', () => resolve())), 'open');
    await within(server.session(1), 'the session at the server');
    if (situation === 'backoff') {
      const lost = new Promise<void>((resolve) => client.on('reset', () => resolve()));
      await server.close();
      await within(lost, 'the loss of the session');
    }
    const from = performance.now();
    await client.disconnect();
    while (holding().length > before && performance.now() - from < 2_000) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(holding().length <= before, `${situation}: there is still ${holding().join(', ')}`);
    await server.close();
  }
}

async function isCollected(lab: Lab): Promise<void> {
  const server = await lab.serve();
  const live = async (): Promise<WeakRef<Client>> => {
    const client = lab.adapter.create(server.target);
    await within(new Promise<void>((resolve) => client.on('open', () => resolve())), 'open');
    await client.disconnect();
    return new WeakRef(client);
  };
  const closed = await live();
  await within(
    server.until(() => server.live === 0),
    'the end of the session at the server',
  );
  for (let turn = 0; turn < 50 && closed.deref() !== undefined; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc!();
  }
  assert.equal(closed.deref(), undefined, 'what was closed is collected');
}

async function cycles(lab: Lab): Promise<void> {
  // An RST leaves no port behind that has to wait for its time.
  const server = await serveElsewhere('socket.resetAndDestroy();');
  const { signal } = new AbortController();
  const connection = lab.own({ ...server.target, signal });
  let sessions = 0;
  connection.on('backoff', () => {
    sessions += 1;
    connection.reconnect();
  });
  const until = async (wanted: number) => {
    await payload(connection, 'backoff', () => sessions >= wanted);
    globalThis.gc!();
    return {
      heap: process.memoryUsage().heapUsed,
      holding: holding().length,
      listeners: connection.listenerCount('open'),
    };
  };
  const warm = await until(Math.ceil(CYCLES / 10));
  const end = await until(Math.ceil(CYCLES / 10) + CYCLES);
  await connection.disconnect();

  assert.ok(end.heap - warm.heap < 2 ** 20, `the heap grew by ${end.heap - warm.heap} bytes over ${CYCLES} sessions`);
  assert.ok(end.holding <= warm.holding + 1, `${end.holding} resources, ${warm.holding} at the start`);
  assert.equal(end.listeners, warm.listeners);
  assert.ok(getEventListeners(signal, 'abort').length === 0);
}
