import { strict as assert } from 'node:assert';
import { type Socket, connect } from 'node:net';
import { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';

import { type Certificates, loadCertificates } from '../../kit/certificates';
import { payload } from '../../kit/connections';
import { serveElsewhere } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import { type Case, quiet, within } from '../lab';
import { gaps, grow } from './attempts';

/** What every write holds, and no wire may show. */
const MARKER = 'correct horse battery staple';

/** Certificates that must not be believed, and the code with which they are refused. */
const BAD = {
  expired: 'CERT_HAS_EXPIRED',
  selfSigned: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  unknown: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  wrongHost: 'ERR_TLS_CERT_ALTNAME_INVALID',
} as const;

/** Section H: nothing is open before it is secure, and stays so in every generation. */
export const tls: readonly Case[] = [
  {
    id: 'C97',
    title: 'a session with TLS is open when it is secure, and not when it is connected',
    needs: ['tls'],
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      const mute = await Loopback.start();
      const waiting = lab.create({ ...mute.target, tls: { ca: ca.cert } });
      await within(mute.session(1), 'a connection');
      await mute.until(() => mute.receivedBytes > 0);
      await quiet(300);
      assert.equal(waiting.count('open'), 0);

      const server = await lab.serve({ tls: pair });
      const subject = lab.create({ ...server.target, tls: { ca: ca.cert } });
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
    },
  },
  {
    id: 'C98',
    title:
      'a certificate that is expired, self-signed, of an unknown authority or for another host never opens, is tried again, and recovers after its rotation',
    needs: ['tls'],
    limit: 60_000,
    run: async (lab) => {
      const certificates = await loadCertificates();
      const { ca, server: good, otherCa } = certificates;
      const trials = Object.entries(BAD).map(async ([name, code]) => {
        // `as`: the keys of BAD are these names.
        const pair = name === 'unknown' ? good : certificates[name as 'expired' | 'selfSigned' | 'wrongHost'];
        const trusted = name === 'unknown' ? otherCa.cert : ca.cert;
        const server = await lab.serve({ tls: pair });
        // One that trusts another authority is helped by no rotation of the server's: it is asked for refusals only.
        const subject = lab.create({ ...server.target, tls: { ca: trusted } });
        await within(
          server.until(() => server.accepted >= 3),
          `three attempts in spite of ${name}`,
        );
        assert.equal(subject.count('open'), 0, name);
        if (lab.has('own')) {
          const { error } = subject.heard.find(({ event }) => event === 'backoff')!.value as {
            error: { code: string };
          };
          assert.equal(error.code, code);
        }
        if (name === 'unknown') return;
        server.secure(good);
        await subject.waitFor('open');
        assert.deepEqual(subject.names('open', 'reset'), ['open'], name);
      });
      await Promise.all(trials);
      if (!lab.has('own')) return;

      // A pin that does not fit is a certificate that is not believed.
      const server = await lab.serve({ tls: good });
      const pinned = lab.own({
        ...server.target,
        tls: { ca: ca.cert, checkServerIdentity: () => Object.assign(new Error('pin'), { code: 'ERR_PIN' }) },
      });
      const { reason, error } = await payload(pinned, 'backoff', ({ attempt }) => attempt === 2);
      assert.deepEqual([reason, error?.code, pinned.generation], ['error', 'ERR_PIN', 0]);
    },
  },
  {
    id: 'C99',
    title: 'every generation is encrypted: a relay that reads every byte sees nothing of what is written',
    needs: ['tls', 'bytes'],
    limit: 60_000,
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      const server = await lab.serve({ tls: pair, echo: true });
      const seen: Buffer[][] = [];
      const relay = await Loopback.start({
        onSession(socket) {
          const chunks: Buffer[] = [];
          seen.push(chunks);
          const behind = connect(server.port, '127.0.0.1');
          behind.on('error', () => {}).on('close', () => socket.destroy());
          socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('close', () => behind.destroy());
          socket.pipe(behind).pipe(socket);
        },
      });
      const subject = lab.create({ ...relay.target, tls: { ca: ca.cert } });
      subject.client.on('open', () => void subject.client.write(MARKER));

      for (let generation = 1; generation <= 5; generation++) {
        await subject.waitFor('open', generation);
        await within(
          server.until(() => server.text().split(MARKER).length - 1 >= generation),
          `what generation ${generation} wrote`,
        );
        if (generation % 2 === 1) server.drop();
        else relay.reset();
        await subject.waitFor('reset', generation);
      }

      for (const chunks of seen) {
        const wire = Buffer.concat(chunks);
        assert.ok(!wire.includes(MARKER), 'the marker was on the wire');
        if (wire.length > 0) assert.deepEqual([wire[0], wire[1]], [0x16, 0x03]);
      }
    },
  },
  {
    id: 'C100',
    title: 'a server that refuses the client’s certificate only after the handshake is a flap: the delays grow',
    needs: ['tls', 'backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      const server = await Loopback.start({
        tls: { ...pair, ca: ca.cert, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      });
      lab.create({
        ...server.target,
        tls: { ca: ca.cert },
        backoff: { initialDelay: 50, maxDelay: 1_600, jitter: 'none' },
      });
      await within(
        server.until(() => server.accepted >= 6),
        'six attempts',
        30_000,
      );

      grow(gaps(server), [50, 100, 200, 400, 800], 'a server that wants a certificate');
    },
  },
  {
    id: 'C101',
    title: 'a mute server, garbage, half a ServerHello and a checkServerIdentity that throws end by time-out or error',
    needs: ['tls', 'connect timeout'],
    limit: 60_000,
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      // A record of the handshake that promises 122 bytes, of which the first are those of a ServerHello.
      const halfHello = Buffer.from('160303007a020000760303', 'hex');
      const answers: Record<string, (socket: Socket) => void> = {
        mute: () => {},
        garbage: (socket) => void socket.on('data', () => socket.write('220 mail.test ESMTP\r\n')),
        partial: (socket) => void socket.on('data', () => socket.write(halfHello)),
        'partial and end': (socket) => void socket.on('data', () => socket.end(halfHello)),
      };
      const trials = Object.entries(answers).map(async ([name, onSession]) => {
        const server = await Loopback.start({ onSession });
        const subject = lab.create({ ...server.target, tls: { ca: ca.cert }, connectTimeout: 300 });
        await within(
          server.until(() => server.accepted >= 3),
          `three attempts at a server that is ${name}`,
        );
        assert.equal(subject.count('open'), 0, name);
      });
      await Promise.all(trials);

      const server = await lab.serve({ tls: pair });
      const thrower = lab.create({
        ...server.target,
        tls: {
          ca: ca.cert,
          checkServerIdentity: () => {
            throw new Error('a check that is broken');
          },
        },
        connectTimeout: 300,
      });
      await within(
        server.until(() => server.accepted >= 3),
        'three attempts with a check that throws',
      );
      assert.equal(thrower.count('open'), 0);
    },
  },
  {
    id: 'C102',
    title:
      'the client’s certificate is taken anew for each attempt; a thousand certificate errors leave nothing behind; secrets cannot be inspected',
    needs: ['tls', 'own'],
    limit: 60_000,
    run: async (lab) => {
      const certificates = await loadCertificates();
      await reloads(lab, certificates);
      await leavesNothing(lab, certificates);
    },
  },
];

async function reloads(lab: Parameters<Case['run']>[0], certificates: Certificates): Promise<void> {
  const { server: pair, ca, client, rotated } = certificates;
  const server = await Loopback.start({ tls: { ...pair, ca: ca.cert, requestCert: true, rejectUnauthorized: true } });
  let current = client;
  const connection = lab.own({
    target: () => ({ ...server.target, tls: { ca: ca.cert, cert: current.cert, key: current.key } }),
  });
  const subjectOf = (socket: Socket) => {
    assert.ok(socket instanceof TLSSocket);
    const { subject, serialNumber } = socket.getPeerCertificate();
    return [subject.CN, serialNumber];
  };
  const before = subjectOf(await server.meets(connection));
  current = rotated;
  server.drop();
  await payload(connection, 'open', ({ generation }) => generation === 2);
  const after = subjectOf(await server.meets(connection));
  assert.deepEqual([before[0], after[0]], ['a client', 'localhost']);
  assert.notEqual(before[1], after[1]);

  const told = [inspect(connection, { depth: Infinity, showHidden: true }), JSON.stringify(connection)];
  const [, secret] = client.key.split('\n');
  for (const text of told) assert.ok(!text.includes(secret!), 'the key can be inspected');
  await connection.disconnect();
}

async function leavesNothing(lab: Parameters<Case['run']>[0], certificates: Certificates): Promise<void> {
  const server = await serveElsewhere('', certificates.expired);
  const signal = new AbortController().signal;
  const clients = Array.from({ length: 25 }, () =>
    lab.own({
      ...server.target,
      signal,
      tls: { ca: certificates.ca.cert },
      backoff: { initialDelay: 10, maxDelay: 10, jitter: 'none' },
    }),
  );
  const fail = (times: number) =>
    Promise.all(clients.map((client) => payload(client, 'backoff', ({ attempt }) => attempt === times)));
  const heap = () => {
    globalThis.gc!();
    return process.memoryUsage().heapUsed;
  };
  await within(fail(10), '250 refusals', 20_000);
  const before = heap();
  await within(fail(50), '1,250 refusals', 40_000);
  const grown = heap() - before;
  await Promise.all(clients.map((client) => client.disconnect()));

  assert.ok(grown < 2 ** 20, `the heap grew by ${grown} bytes over 1,000 refusals`);
}
