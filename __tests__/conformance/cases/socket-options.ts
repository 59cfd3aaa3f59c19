import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { type Pair, loadCertificates } from '../../kit/certificates';
import { heal, partition } from '../../kit/kernel';
import type { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import type { CommonOptions } from 'reconnecting-connection';
import { type Case, type Lab, type Subject, quiet, within } from '../lab';

const SESSIONS = 3;

/** Section C: how a socket is set up holds for every session. */
export const socketOptions: readonly Case[] = [
  {
    id: 'C49',
    title: 'noDelay, keepAlive and timeouts are set on the socket of every session',
    needs: ['socket options'],
    limit: 60_000,
    inNamespace: true,
    run: async (lab) => {
      const socket = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 50_000 };
      const isSetUp = async (asked: Asked) => {
        await until(() => /keepalive,(50|4\d)sec/.test(clientSockets(asked.server)), {
          what: () => `probes after 50 s in session ${asked.session}: ${clientSockets(asked.server)}`,
        });
        if (!lab.has('bytes')) return;
        assert.equal(await sentWithoutAnswer(asked), 'abc', 'small writes go out at once');
      };
      await forEachSession(lab, { socket }, isSetUp);

      if (!lab.has('own')) return;
      // Node does not pass these on to TLS by itself.
      const { ca, server } = await loadCertificates();
      await forEachSession(lab, { socket, tls: { ca: ca.cert } }, isSetUp, server);
      // The contrary shows that the experiment can tell.
      await forEachSession(lab, { socket: { noDelay: false, keepAlive: false } }, async (asked) => {
        assert.doesNotMatch(clientSockets(asked.server), /keepalive/);
        assert.equal(await sentWithoutAnswer(asked), 'a', 'small writes wait for an answer');
      });
      await idles(lab);
    },
  },
];

/** One session of several, between a client and its server. */
interface Asked {
  readonly subject: Subject;
  readonly server: Loopback;
  readonly session: number;
}

/** Puts the same question to the sessions of one client, which the server ends by RST. */
async function forEachSession(
  lab: Lab,
  options: CommonOptions,
  ask: (asked: Asked) => Promise<void>,
  tls?: Pair,
): Promise<void> {
  const server = await lab.serve(tls && { tls });
  const subject = lab.create({ ...server.target, ...options });
  for (let session = 1; session <= SESSIONS; session += 1) {
    await subject.waitFor('open', session);
    await within(server.session(session), 'the server accepts');
    await ask({ subject, server, session });
    server.reset();
  }
  await subject.client.disconnect();
}

/** What the kernel says of the sockets that are connected to `server`, their timers included. */
function clientSockets({ port }: Loopback): string {
  return execFileSync('ss', ['-Htno', 'state', 'established', 'dport', '=', `:${port}`], { encoding: 'utf8' });
}

/** Three small writes while nothing of the server's comes through: what of them it gets. */
async function sentWithoutAnswer({ subject, server, session }: Asked): Promise<string> {
  partition(server.port, 'from');
  // Or the kernel would soon send what waits, in order to provoke an answer.
  writeFileSync('/proc/sys/net/ipv4/tcp_early_retrans', '0');
  for (const letter of ['a', 'b', 'c']) {
    subject.client.write(letter);
    // One system call each.
    await turn();
    await turn();
  }
  await within(
    server.until(() => server.text(session).includes('a')),
    'the first write arrives',
  );
  // If the others were on their way they would be there by now: nothing but this machine lies between.
  const patience = performance.now() + 500;
  await until(() => server.text(session).length === 3 || performance.now() > patience);
  const arrived = server.text(session);
  heal();
  await quiet(1);
  return arrived;
}

/** A peer that is silent is noticed in every session. */
async function idles(lab: Lab): Promise<void> {
  const server = await lab.serve();
  const connection = lab.own({ ...server.target, idleTimeout: 100 });
  const reasons: string[] = [];
  connection.on('reset', ({ reason }) => void reasons.push(reason));
  await until(() => reasons.length === SESSIONS);
  assert.deepEqual(new Set(reasons), new Set(['idle']));
  await connection.disconnect();
}
