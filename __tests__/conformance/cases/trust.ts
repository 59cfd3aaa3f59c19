import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { LookupFunction } from 'node:net';
import { connect } from 'node:net';

import { ConnectionError, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import { track } from '../../kit/clean-up';
import { QUICK, next, payload, receives } from '../../kit/connections';
import { Loopback } from '../../kit/server';
import { type Case, quiet, within } from '../lab';
import { startDeaf } from './deaf';
import { resolving } from './lookups';

/** What must not be trusted, and what must not be ignored in silence. */
export const trust: readonly Case[] = [
  {
    id: 'C136',
    title: 'a stream that a dial returns twice is not the session of two connections, nor of the same one again',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start({ echo: true });
      const socket = track(connect(server.port, '127.0.0.1'));
      await once(socket, 'connect');
      const group = track(new ConnectionPool({ ...QUICK, dial: () => socket }));
      const first = group.add({ host: 'db', port: 3306 });
      await within(first.whenOpen(), 'the first member');
      const second = group.add({ host: 'db', port: 3306 });
      const [{ error }] = await within(next(second, 'backoff'), 'a failed attempt of the second');
      assert.ok(error instanceof Error);
      assert.deepEqual([first.state, second.generation], ['open', 0]);
      const answer = receives(first, 'hello');
      let heard = 0;
      second.on('data', () => (heard += 1));
      first.write('hello');
      await within(answer, 'the echo of the first');
      assert.equal(heard, 0);
    },
  },
  {
    id: 'C137',
    title: 'a look-up that answers with one address, where a list was asked for, is understood',
    needs: ['lookup'],
    run: async (lab) => {
      const server = await lab.serve();
      const lookup: LookupFunction = (_name, _options, callback) => void setImmediate(callback, null, '127.0.0.1', 4);
      const subject = lab.create({ port: server.port, host: 'one.test', socket: { lookup } });
      await subject.waitFor('open', 1, 5_000);
      assert.equal(subject.count('open'), 1);
    },
  },
  {
    id: 'C138',
    title: 'a dead first address gives way to the next, also when the family is set',
    needs: ['lookup', 'socket options'],
    run: async (lab) => {
      const server = await lab.serve({ host: '127.0.0.3' });
      const lookup = resolving(() => ['127.0.0.2', '127.0.0.3']);
      const subject = lab.create({ port: server.port, host: 'two.test', socket: { lookup, family: 4 } });
      await subject.waitFor('open', 1, 5_000);
      const bound = lab.create({
        port: server.port,
        host: 'two.test',
        socket: { lookup, localAddress: '127.0.0.1' },
      });
      await bound.waitFor('open', 1, 5_000);
      // One that gives no answer.
      const deaf = await startDeaf({ host: '127.0.0.2' });
      // `as`: it has no path.
      const { port } = deaf.target as { port: number };
      await lab.serve({ host: '127.0.0.3', port });
      const late = lab.create({ port, host: 'two.test', socket: { lookup, family: 4 } });
      await late.waitFor('open', 1, 5_000);
      await deaf.destroy();
    },
  },
  {
    id: 'C139',
    title: 'an abstract Unix socket, which has a name and no file, can be connected to',
    needs: ['unix'],
    platform: 'linux',
    run: async (lab) => {
      const path = `\0conformance-${process.pid}-${performance.now()}`;
      const server = await lab.serve({ path, echo: lab.has('bytes') });
      const subject = lab.create({ path });
      await subject.waitFor('open', 1, 5_000);
      await within(server.session(1), 'the session at the server');
      if (!lab.has('own')) return;
      for (const bad of ['\0', `\0${'x'.repeat(200)}`, 'a\0b', '/tmp/x\0.sock']) {
        assert.throws(() => new ReconnectingConnection({ path: bad }), { code: 'ERR_INVALID_OPTION' }, bad);
      }
    },
  },
  {
    id: 'C140',
    title: 'a listener that is added again in every session is warned of, once',
    needs: ['own'],
    run: async (lab) => {
      const warnings: Error[] = [];
      process.on('warning', (warning) => void warnings.push(warning));
      const server = await Loopback.start();
      const connection = lab.own({ ...server.target, minUptime: 0 });
      connection.on('open', () => void connection.on('data', () => {}));
      for (let session = 1; session <= 15; session++) {
        await within(server.session(session), `session ${session}`);
        if (session === 10) assert.equal(warnings.length, 0);
        server.drop();
      }
      await within(server.session(16), 'session 16');
      await quiet(20);
      assert.deepEqual(
        warnings.map(({ name }) => name),
        ['MaxListenersExceededWarning'],
      );
      assert.match(warnings[0]!.message, /data/);
    },
  },
  {
    id: 'C141',
    title: 'a −0 among the options, as JSON may hold it, never aborts the process: it is 0, or it is refused',
    needs: ['socket options'],
    run: async (lab) => {
      const server = await lab.serve();
      // `as`: options that a file holds.
      const socket = JSON.parse('{"family":-0}') as { family: 0 };
      try {
        const subject = lab.create({ port: server.port, host: 'localhost', socket });
        await subject.waitFor('open', 1, 5_000);
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), 'it neither opens nor refuses');
      }
    },
  },
  {
    id: 'C142',
    title: 'an option that is undefined is the same as one that is absent; null is not',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start({ echo: true });
      const nothing = Object.fromEntries(
        [
          ...[
            'host',
            'path',
            'tls',
            'target',
            'socket',
            'dial',
            'minUptime',
            'maxRetries',
            'maxElapsed',
            'shouldRetry',
          ],
          ...['connectTimeout', 'beforeTls', 'handshake', 'decoder', 'idleTimeout', 'writeTimeout', 'heartbeat'],
          ...['queue', 'closeTimeout', 'signal', 'autoConnect', 'reuseReadBuffer', 'backoff'],
        ].map((name) => [name, undefined]),
      );
      const connection = lab.own({ ...nothing, port: server.port });
      await within(connection.whenOpen(), 'it opens');
      const nested = lab.own({
        port: server.port,
        socket: { family: undefined, lookup: undefined, noDelay: undefined },
        queue: { maxAge: undefined, maxBytes: undefined, overflow: undefined },
      });
      await within(nested.whenOpen(), 'it opens with nothing within');
      for (const name of Object.keys(nothing)) {
        // `as`: what a program without types might pass.
        const options = { port: server.port, [name]: null } as unknown as { port: number };
        assert.throws(() => new ReconnectingConnection(options), { code: 'ERR_INVALID_OPTION' }, name);
      }
    },
  },
  {
    id: 'C143',
    title: 'a URL stands for the target, and nothing but scheme, host, port and path is taken from it',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start();
      const connection = track(new ReconnectingConnection(`tcp://127.0.0.1:${server.port}`, { ...QUICK }));
      await within(connection.whenOpen(), 'it opens');
      assert.equal(connection.tag, `127.0.0.1:${server.port}`);
      const idle = { autoConnect: false };
      for (const [url, tag] of [
        ['tls://example.test:6380', 'example.test:6380'],
        ['tcp://[::1]:7', '[::1]:7'],
        ['unix:///run/x.sock', 'unix:/run/x.sock'],
      ] as const) {
        assert.equal(track(new ReconnectingConnection(url, idle)).tag, tag);
      }
      const bad = [
        'http://a:1',
        'tcp://a',
        'tcp://:1',
        'tcp://user:secret@a:1',
        'tcp://a:1/path',
        'tcp://a:1?x=1',
        'a:1',
      ];
      for (const url of [...bad, 'tcp://a:70000', 'unix:', '']) {
        assert.throws(
          () => new ReconnectingConnection(url, idle),
          (error) =>
            error instanceof ConnectionError &&
            error.code === 'ERR_INVALID_OPTION' &&
            !error.message.includes('secret'),
          url,
        );
      }
    },
  },
  {
    id: 'C144',
    title: 'memory that is read into again and again cannot be given away to another thread by a listener',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start({ echo: true });
      const connection = lab.own({ ...server.target, reuseReadBuffer: true });
      const other = lab.own({ ...server.target, reuseReadBuffer: true });
      await Promise.all([connection.whenOpen(), other.whenOpen()]);
      let heard = '';
      let lost = 0;
      connection.on('data', (chunk) => {
        try {
          // `as`: what a program that does not know whose memory it is would do.
          structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] });
        } catch {
          // Node 20 gives a copy away, and later versions throw.
        }
        if (chunk.buffer.byteLength === 0) lost += 1;
        heard += chunk.toString('latin1');
      });
      for (const text of ['one ', 'two ', 'three']) {
        const echoed = next(connection, 'data');
        connection.write(text);
        await within(echoed, 'an echo');
      }
      assert.deepEqual([heard, lost], ['one two three', 0]);
      const echo = receives(other, 'other');
      other.write('other');
      await within(echo, 'an echo of the other connection');
      assert.equal(connection.generation, 1);
    },
  },
  {
    id: 'C145',
    title: 'the message of an error names the cause, in its own words: what refused, what the handshake said',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const wrong = lab.own({
        ...server.target,
        maxRetries: 0,
        handshake: () => Promise.reject(new Error('WRONGPASS invalid username-password pair')),
      });
      const { error } = await within(payload(wrong, 'close'), 'the end of a log-in that fails');
      assert.match(error?.message ?? '', /WRONGPASS invalid username-password pair/);
      server.refuse();
      for (const options of [{ maxRetries: 0 }, { shouldRetry: () => false }]) {
        const refused = lab.own({ ...server.target, ...options });
        const { error: last } = await within(payload(refused, 'close'), 'the end of a dial that is refused');
        assert.match(last?.message ?? '', /ECONNREFUSED/);
      }
    },
  },
];
