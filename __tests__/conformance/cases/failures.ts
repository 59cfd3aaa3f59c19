import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { track } from '../../kit/clean-up';
import { ephemeralPorts, route, unroute } from '../../kit/kernel';
import { PlainSocket } from '../../kit/plain-socket';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { type Case, type Lab, PATIENCE, type Subject } from '../lab';
import { failsAgain, waits } from './attempts';
import { startDeaf } from './deaf';

/** What the kernel says of an address, by what becomes of packets to it. */
const routes = {
  ENETUNREACH: undefined,
  EHOSTUNREACH: 'unreachable',
  EACCES: 'prohibit',
  EINVAL: 'blackhole',
} as const;

/** The ports that are there for the asking by default. */
const PORTS = [32_768, 60_999] as const;

/** Section A: failures that must not stop anybody. */
export const failures: readonly Case[] = [
  {
    id: 'C15',
    title: 'whatever the system says of a dial, it is dialled again, and opens when that is over',
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      await Promise.all([
        ...Object.entries(routes).map(([code, kind], index) => unroutable(lab, code, kind, `192.0.2.${index + 1}`)),
        refused(lab),
        reset(lab),
      ]);
      await portsExhausted(lab);
      await descriptorsExhausted(lab);
    },
  },
  {
    id: 'C16',
    title: 'a Unix socket that is missing, stale, full or restarted is dialled until it is there',
    needs: ['unix'],
    limit: 60_000,
    run: async (lab) => {
      const directory = mkdtempSync(join(tmpdir(), 'unix-'));
      track({ destroy: () => rmSync(directory, { recursive: true }) });
      const path = join(directory, 's');
      const dead = await Loopback.start({ path: join(directory, 'dead') });
      const subject = lab.create({ path });
      await failsWith(lab, subject, 'ENOENT');

      renameSync(join(directory, 'dead'), path);
      await dead.close();
      await failsWith(lab, subject, 'ECONNREFUSED');

      rmSync(path);
      // Made elsewhere, for until it is full it has room for our client as well.
      const full = await startDeaf({ path: join(directory, 'full') });
      renameSync(join(directory, 'full'), path);
      await failsWith(lab, subject, 'EAGAIN');
      assert.equal(subject.count('open'), 0);

      await full.destroy();
      rmSync(path);
      const server = await lab.serve({ path });
      await subject.waitFor('open', 1, 2 * PATIENCE);
      server.refuse();
      server.drop();
      await subject.waitFor('reset');
      await server.accept();
      await subject.waitFor('open', 2, 2 * PATIENCE);
      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'open']);
    },
  },
  {
    id: 'C17',
    title: 'a socket that the kernel connected to itself is no session',
    inNamespace: true,
    limit: 60_000,
    run: async (lab) => {
      const trial = await Loopback.start();
      trial.refuse();
      const server = await lab.serve();
      server.refuse();
      // With one port to be had, who dials it dials from it: what chance does elsewhere.
      ephemeralPorts(trial.port, trial.port);
      const { socket } = await PlainSocket.open(trial.target);
      assert.equal(socket.localPort, socket.remotePort, 'a plain socket is connected to itself');
      socket.resetAndDestroy();

      ephemeralPorts(server.port, server.port);
      const subject = lab.create(server.target);
      const failed = failsAgain(lab, subject);
      await Promise.race([failed, subject.until('a session, or failures', () => subject.count('open') > 0, 60_000)]);
      assert.equal(subject.count('open'), 0, 'a session with itself');
      await failed;
      if (lab.has('own')) assert.equal(waits(subject)[0]?.error?.code, 'ERR_SELF_CONNECT');
      ephemeralPorts(...PORTS);
      await server.accept();
      await subject.waitFor('open', 1, 2 * PATIENCE);

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
      await server.until(() => server.accepted === 1);
    },
  },
];

/** Waits for failures of this kind; the code is looked at where the client tells it. */
async function failsWith(lab: Lab, subject: Subject, code: string): Promise<void> {
  const told = () => waits(subject).filter(({ error }) => error?.code === code).length;
  if (lab.has('own')) await subject.until(`${code} × 2`, () => told() >= 2);
  else await failsAgain(lab, subject);
}

/** A client dials `address` before it is one of this machine's, and after. */
async function unroutable(
  lab: Lab,
  code: string,
  kind: Parameters<typeof route>[0] | undefined,
  address: string,
): Promise<void> {
  const server = await lab.serve({ host: '0.0.0.0' });
  const target = { port: server.port, host: address };
  if (kind !== undefined) route(kind, address);
  await new PlainSocket(target).waitFor(code);

  const subject = lab.create(target);
  await failsWith(lab, subject, code);
  assert.equal(subject.count('open'), 0, code);
  if (kind !== undefined) unroute(address);
  execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']);
  await subject.waitFor('open', 1, 2 * PATIENCE);
}

async function refused(lab: Lab): Promise<void> {
  const server = await lab.serve();
  server.refuse();
  const subject = lab.create(server.target);
  await failsWith(lab, subject, 'ECONNREFUSED');
  await server.accept();
  await subject.waitFor('open', 1, 2 * PATIENCE);
}

/** Each connection is cut by an RST as soon as it is accepted: that may be before the client knows of it, or after. */
async function reset(lab: Lab): Promise<void> {
  const server = await lab.serve();
  server.flap({ how: 'reset' });
  const subject = lab.create(server.target);
  await within30(server, 3);
  server.steady();
  const opened = subject.count('open');
  await subject.waitFor('open', opened + 1, 2 * PATIENCE);
}

async function within30(server: Loopback, accepted: number): Promise<void> {
  await until(() => server.accepted >= accepted, { deadline: 30_000, what: () => `${server.accepted} accepted` });
}

/** All local ports are taken. */
async function portsExhausted(lab: Lab): Promise<void> {
  const server = await lab.serve();
  const [first] = PORTS;
  ephemeralPorts(first, first + 1);
  const holders = [await PlainSocket.open(server.target), await PlainSocket.open(server.target)];
  await new PlainSocket(server.target).waitFor('EADDRNOTAVAIL');

  const subject = lab.create(server.target);
  await failsWith(lab, subject, 'EADDRNOTAVAIL');
  assert.equal(subject.count('open'), 0, 'EADDRNOTAVAIL');
  for (const { socket } of holders) socket.resetAndDestroy();
  ephemeralPorts(...PORTS);
  await subject.waitFor('open', 1, 2 * PATIENCE);
}

/** The process may open no more files. */
async function descriptorsExhausted(lab: Lab): Promise<void> {
  const server = await lab.serve();
  execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=256:']);
  const held: number[] = [];
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch (error) {
    // `as`: that there are no more is what is wanted, and anything else is not.
    assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE');
  }
  try {
    const subject = lab.create(server.target);
    await failsWith(lab, subject, 'EMFILE');
    assert.equal(subject.count('open'), 0, 'EMFILE');
    for (const descriptor of held.splice(0)) closeSync(descriptor);
    await subject.waitFor('open', 1, 2 * PATIENCE);
  } finally {
    for (const descriptor of held) closeSync(descriptor);
  }
}
