import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { Duplex } from 'node:stream';
import { type TLSSocket, TLSSocket as SecureSocket, connect as connectSecure } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';

import type { ConnectionOptions } from 'reconnecting-connection';

import { type Pair, loadCertificates } from '../../kit/certificates';
import { payload, receives } from '../../kit/connections';
import { Loopback } from '../../kit/server';
import { type Case, quiet, within } from '../lab';

/** What every write holds, and no wire may show. */
const SECRET = 'PASS correct horse battery staple\n';

/** What comes before TLS: STARTTLS, proxies, and a handshake that replaces the socket. */
export const beforeTls: readonly Case[] = [
  {
    id: 'C105',
    title: 'TLS that begins in the middle of a conversation is verified, and nothing written goes out in clear',
    needs: ['own'],
    run: async (lab) => {
      const { server: pair, ca, otherCa } = await loadCertificates();
      const server = await startTls(pair);
      const relay = await sniff(server.loopback);
      const connection = lab.own({ ...relay.target, tls: { ca: ca.cert }, beforeTls: ask, minUptime: 0 });
      connection.write(SECRET);
      for (const generation of [1, 2, 3]) {
        if (generation > 1) connection.write(SECRET);
        await within(
          server.until(() => server.secure.length === generation && server.text(generation) === SECRET),
          `the write of session ${generation}, under TLS`,
        );
        if (generation < 3) connection.reconnect();
      }
      assert.equal(relay.received().includes('PASS'), false);
      assert.equal(relay.received(1).subarray(0, 9).toString(), 'STARTTLS\n');
      await connection.disconnect();

      const strict = lab.own({ ...relay.target, tls: { ca: otherCa.cert }, beforeTls: ask });
      strict.write(SECRET);
      const { error } = await within(
        payload(strict, 'backoff', ({ attempt }) => attempt === 2),
        'two refusals',
      );
      assert.deepEqual([error?.code, strict.generation], ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 0]);
      assert.equal(relay.received().includes('PASS'), false);
    },
  },
  {
    id: 'C106',
    title:
      'TLS that a handshake lays over its socket is the session when it is returned, and fails the attempt when it is not: nothing goes out in clear',
    needs: ['own'],
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      const server = await startTls(pair);
      for (const returns of [true, false]) {
        const relay = await sniff(server.loopback);
        const handshake: ConnectionOptions['handshake'] = async (socket, { signal }) => {
          await ask(socket, { signal });
          const secure = connectSecure({ socket, ca: ca.cert, host: '127.0.0.1' });
          await once(secure, 'secureConnect', { signal });
          return returns ? secure : undefined;
        };
        const connection = lab.own({ ...relay.target, handshake });
        connection.write(SECRET);
        if (returns) {
          await within(
            server.until(() => server.text(1) === SECRET),
            'the write, under TLS',
          );
          assert.equal(connection.state, 'open');
        } else {
          const { reason } = await within(payload(connection, 'backoff'), 'a failed attempt');
          assert.deepEqual([reason, connection.generation], ['handshake-failed', 0]);
          await quiet(100);
        }
        await connection.disconnect();
        assert.equal(relay.received().includes('PASS'), false);
      }
    },
  },
  {
    id: 'C107',
    title: 'bytes in clear that arrive before TLS begins, and so were injected, fail the attempt',
    needs: ['own'],
    run: async (lab) => {
      const { server: pair, ca } = await loadCertificates();
      const server = await startTls(pair, 'OK\n250 INJECTED\n');
      let heard = '';
      const connection = lab.own({ ...server.loopback.target, tls: { ca: ca.cert }, beforeTls: ask });
      connection.on('data', (chunk) => (heard += chunk.toString('latin1')));
      const { reason, error } = await within(
        payload(connection, 'backoff', ({ attempt }) => attempt === 2),
        'two failed attempts',
      );
      assert.equal(reason, 'handshake-failed');
      assert.ok(error instanceof Error);
      assert.deepEqual([connection.generation, heard], [0, '']);
    },
  },
  {
    id: 'C108',
    title: 'what a server behind a proxy says first is heard, also in the packet of the proxy’s answer',
    needs: ['own'],
    run: async (lab) => {
      const GREETING = '220 ready\r\n';
      for (const when of ['in the same packet', 'in the next turn', 'later'] as const) {
        const proxy = await Loopback.start({
          onSession(socket) {
            socket.setNoDelay().once('data', () => {
              const answer = 'HTTP/1.1 200 Connection established\r\n\r\n';
              socket.write(when === 'in the same packet' ? answer + GREETING : answer);
              if (when === 'in the next turn') setImmediate(() => socket.write(GREETING));
              if (when === 'later') setTimeout(() => socket.write(GREETING), 50);
            });
          },
        });
        const connection = lab.own({
          ...proxy.target,
          async beforeTls(socket, { signal }) {
            socket.write('CONNECT mail.test:25 HTTP/1.1\r\n\r\n');
            const [answer] = (await once(socket, 'data', { signal })) as [Buffer];
            const end = answer.indexOf('\r\n\r\n') + 4;
            if (end < answer.length) socket.unshift(answer.subarray(end));
          },
        });
        await within(receives(connection, GREETING), `the greeting ${when}`);
        await connection.disconnect();
      }
    },
  },
  {
    id: 'C109',
    title: 'a preparation that never settles ends at the time limit, and its socket is closed',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const signals: AbortSignal[] = [];
      const connection = lab.own({
        ...server.target,
        connectTimeout: 200,
        beforeTls: (_socket, { signal }) => {
          signals.push(signal);
          return new Promise(() => {});
        },
      });
      const began = performance.now();
      for (const attempt of [1, 2, 3]) {
        const { reason, error } = await within(
          payload(connection, 'backoff', (info) => info.attempt === attempt),
          `failure ${attempt}`,
        );
        assert.deepEqual([reason, error?.code], ['connect-timeout', 'ERR_CONNECT_TIMEOUT']);
      }
      const took = performance.now() - began;
      assert.ok(took > 590 && took < 10_000, `three attempts took ${took} ms`);
      await connection.disconnect();
      assert.ok(signals.every(({ aborted }) => aborted));
      await within(server.opens(0), 'the end of every socket');
      assert.equal(connection.generation, 0);
    },
  },
  {
    id: 'C110',
    title: 'a stream that a handshake returns is the session, in every generation: compression for both sides',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start({
        onSession(socket, number) {
          const reply = deflate();
          reply.pipe(socket);
          socket
            .pipe(createInflateRaw())
            .on('error', () => {})
            .on('data', (chunk: Buffer) => reply.write(`${number}:${chunk.toString()}`));
        },
      });
      const connection = lab.own({
        ...server.target,
        minUptime: 0,
        handshake: (socket) => {
          const packed = deflate();
          packed.pipe(socket);
          return Duplex.from({ writable: packed, readable: socket.pipe(createInflateRaw()) });
        },
      });
      for (const generation of [1, 2]) {
        await within(connection.whenOpen(), `session ${generation}`);
        const answer = receives(connection, `${generation}:hello`);
        connection.write('hello');
        await within(answer, `the answer of session ${generation}`);
        assert.equal(server.received(generation).includes('hello'), false);
        const lost = payload(connection, 'reset');
        if (generation === 1) {
          server.reset();
          await within(lost, 'the loss of the socket beneath');
        }
      }
      await within(connection.disconnect(), 'the end');
      await within(server.opens(0), 'the end of the socket');
    },
  },
];

/** Asks for TLS, and reads to the end of the answer’s line. What follows stays unread. */
async function ask(socket: Duplex, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  socket.write('STARTTLS\n');
  const [answer] = (await once(socket, 'data', { signal })) as [Buffer];
  const end = answer.indexOf('\n') + 1;
  if (answer.toString('latin1', 0, end) !== 'OK\n') throw new Error(`not OK: ${answer.toString()}`);
  if (end < answer.length) socket.unshift(answer.subarray(end));
}

/** A server that is asked for TLS by a line in clear. */
interface StartTlsServer {
  readonly loopback: Loopback;
  /** Sessions under TLS. */
  readonly secure: readonly TLSSocket[];
  /** What arrived under TLS in the session of that number, from 1. */
  text(session: number): string;
  until(holds: () => boolean): Promise<void>;
}

async function startTls(pair: Pair, answer = 'OK\n'): Promise<StartTlsServer> {
  const secure: TLSSocket[] = [];
  const texts: string[] = [];
  const waiting = new Set<() => void>();
  const changed = () => waiting.forEach((wake) => wake());
  const loopback = await Loopback.start({
    onSession(socket) {
      socket.once('data', () => {
        socket.removeAllListeners('data').pause();
        socket.write(answer);
        const layer = new SecureSocket(socket, { isServer: true, ...pair });
        const index = secure.push(layer) - 1;
        texts.push('');
        layer.on('error', () => {});
        layer.on('data', (chunk: Buffer) => {
          texts[index] = (texts[index] ?? '') + chunk.toString('latin1');
          changed();
        });
      });
    },
  });
  return {
    loopback,
    secure,
    text: (session) => texts[session - 1] ?? '',
    until: (holds) =>
      new Promise((resolve) => {
        const wake = () => {
          if (!holds()) return;
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        wake();
      }),
  };
}

/** A relay to `server`, which remembers what clients sent through it. */
function sniff(server: Loopback): Promise<Loopback> {
  return Loopback.start({
    onSession(socket: Socket) {
      const behind = connect(server.port, '127.0.0.1');
      behind.on('error', () => {}).on('close', () => socket.destroy());
      socket.on('close', () => behind.destroy());
      socket.pipe(behind).pipe(socket);
    },
  });
}

/** What is written to it can be read by the other side at once. */
function deflate() {
  return createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
}
