import { strict as assert } from 'node:assert';

import { FaultProxy } from '../../kit/fault-proxy';
import { heal, killSockets, linkDown, linkUp, lose, partition } from '../../kit/kernel';
import type { ClientOptions } from '../adapter';
import { type Case, type Lab, type Subject, quiet, within } from '../lab';

const INTERVAL = 1_000;
const TIMEOUT = 1_000;

const heartbeat: ClientOptions['heartbeat'] = {
  interval: INTERVAL,
  timeout: TIMEOUT,
  ping: (connection) => connection.write('ping'),
};

/** What the wire does to a session: it goes silent, loses packets, or is gone for a while. */
export const partitions: readonly Case[] = [
  {
    id: 'C67',
    title: 'a silent partition of an idle session is noticed within the heartbeat’s interval and timeout',
    needs: ['liveness'],
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: lab.has('bytes') });
      const subject = lab.create({ ...server.target, heartbeat });
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
      const from = performance.now();
      partition(server.port);
      await noticed(lab, subject, from);
      heal();
      await subject.waitFor('open', 2);
    },
  },
  {
    id: 'C68',
    title: 'a silent partition is noticed as soon while writes seem to succeed',
    needs: ['liveness', 'bytes'],
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: true });
      const subject = lab.create({ ...server.target, heartbeat });
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
      const writing = setInterval(() => subject.client.write('on and on'), 20);
      try {
        const from = performance.now();
        partition(server.port);
        await noticed(lab, subject, from);
        heal();
        await subject.waitFor('open', 2);
      } finally {
        clearInterval(writing);
      }
    },
  },
  {
    id: 'C69',
    title: 'a peer that is stopped is noticed as soon, in the next session too, which it seems to accept',
    needs: ['liveness'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: lab.has('bytes') });
      const proxy = await FaultProxy.start(server.target);
      const subject = lab.create({ ...proxy.target, heartbeat });
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
      const from = performance.now();
      await proxy.signal('SIGSTOP');
      await noticed(lab, subject, from);
      if (lab.has('own')) {
        // The kernel of a stopped server goes on to accept.
        await subject.waitFor('open', 2);
        const again = subject.heard.at(-1)!.at;
        await noticed(lab, subject, again, 2);
      }
      await proxy.signal('SIGCONT');
      const opens = subject.count('open');
      await subject.waitFor('open', opens + 1);
      const resets = subject.count('reset');
      await quiet(INTERVAL + TIMEOUT);
      assert.equal(subject.count('reset'), resets, 'the session after that is left alone');
    },
  },
  {
    id: 'C72',
    title: 'a peer that was rebooted and knows nothing of the session is found out by the first write',
    needs: ['bytes'],
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: true });
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
      partition(server.port);
      killSockets(server.port, 'server');
      await within(
        server.until(() => server.live === 0),
        'the end of the session at the server',
      );
      heal();
      assert.equal(subject.count('reset'), 0);
      subject.client.write('are you there?');
      await subject.waitFor('reset');
      await subject.waitFor('open', 2);

      assert.deepEqual(subject.names('open', 'reset'), ['open', 'reset', 'open']);
    },
  },
  {
    id: 'C76',
    title: 'a link that is down for a second and back resets nothing and loses nothing',
    needs: ['bytes'],
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: true });
      const subject = lab.create({ ...server.target, ...(lab.has('liveness') && { idleTimeout: 30_000 }) });
      await subject.waitFor('open');
      await echoes(subject, 60, 20, (i) => {
        if (i === 20) {
          linkDown();
          setTimeout(linkUp, 1_000);
        }
      });

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
    },
  },
  {
    id: 'C77',
    title: 'a wire that loses 30 % and takes 100 ms there and back resets nothing and loses nothing',
    needs: ['bytes'],
    inNamespace: true,
    limit: 90_000,
    run: async (lab) => {
      const server = await lab.serve({ echo: true });
      const proxy = await FaultProxy.start(server.target);
      await proxy.set({ latency: 50 });
      const subject = lab.create(proxy.target);
      await subject.waitFor('open');
      lose(proxy.port, 30);
      await echoes(subject, 60, 20);
      heal();

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
    },
  },
];

/** That the loss of a session is heard in time: of ours by its timers, of others by the whole of their patience. */
async function noticed(lab: Lab, subject: Subject, from: number, resets = 1): Promise<void> {
  await subject.waitFor('reset', resets);
  const took = subject.heard.filter(({ event }) => event === 'reset')[resets - 1]!.at - from;
  // A kernel would need a quarter of an hour. The rest is what a busy machine may be late by.
  const bound = INTERVAL + TIMEOUT + 8_000;
  if (lab.has('own')) assert.ok(took <= bound, `noticed after ${Math.round(took)} ms`);
}

/** Sends so many numbered lines, one each so many milliseconds, and waits until all have come back, in order. */
async function echoes(
  subject: Subject,
  count: number,
  every: number,
  each: (i: number) => void = () => {},
): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => `line ${i}\n`);
  for (const [i, line] of lines.entries()) {
    subject.client.write(line);
    each(i);
    await quiet(every);
  }
  const expected = lines.join('');
  await subject.until('all echoes', () => subject.received.length >= expected.length, 60_000);
  assert.equal(subject.received.toString(), expected);
}
