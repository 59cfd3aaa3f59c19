import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { cutSocket } from '../../lib/testing/cut';
import { loadCertificates } from '../kit/certificates';
import { until } from '../kit/until';
import { COMMAND, Running, closeAll, pump, serve, start, urlOf } from './desk';

// Each test starts processes, and many of them at a time.
jest.setTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), 'command-'));

afterAll(async () => {
  await closeAll();
  rmSync(directory, { recursive: true, force: true });
});

/** A port of this machine at which nothing listens. */
async function closedUrl(): Promise<string> {
  const server = await serve();
  server.refuse();
  return urlOf(server);
}

/** Resolves when a figure has stayed the same for 300 ms: what was to move has moved. */
async function steady(figure: () => number): Promise<number> {
  let last = figure();
  let since = performance.now();
  await until(() => {
    if (figure() !== last) {
      last = figure();
      since = performance.now();
    }
    return performance.now() - since > 300;
  });
  return last;
}

describe('the end of input', () => {
  test.concurrent('waits for an answer that is longer than `--wait`, and for its silence only', async () => {
    // 16 parts at 50 ms take 800 ms.
    const talk = (socket: Socket) => {
      socket.on('end', () => {
        let part = 0;
        const timer = setInterval(() => {
          socket.write(`part ${++part};`);
          if (part === 16) clearInterval(timer);
        }, 50);
      });
    };
    const server = await serve({ allowHalfOpen: true, onSession: talk });
    const { code, stdout, stderr } = await start(['--wait', '700', urlOf(server)], { input: 'x' }).ended;

    expect(code).toBe(0);
    expect(stdout).toMatch(/^part 1;.*part 16;$/);
    expect(stderr).toContain('nothing has come for 700 ms since the end of input');
  });

  test.concurrent(
    'leaves our side open with `--no-shutdown`, for a server that hangs up at the client’s end',
    async () => {
      const answerLate = (socket: Socket) => {
        socket.on('data', () => setTimeout(() => socket.writable && socket.end('late'), 200));
        socket.on('end', () => socket.destroy());
      };
      const server = await serve({ onSession: answerLate });
      const [hasty, patient] = await Promise.all([
        start([urlOf(server)], { input: 'x' }).ended,
        start(['--no-shutdown', urlOf(server)], { input: 'x' }).ended,
      ]);

      expect(hasty.stdout).toBe('');
      expect(patient).toMatchObject({ code: 0, stdout: 'late' });
    },
  );

  test.concurrent('with `--no-shutdown` ends our side when the peer is silent', async () => {
    const server = await serve({ echo: true });
    const running = start(['--no-shutdown', '--wait', '100', urlOf(server)], { input: 'echo' });

    expect(await running.ended).toMatchObject({ code: 0, stdout: 'echo' });
  });

  test.concurrent('is none with /dev/null: it receives, over several sessions, until it is stopped', async () => {
    const server = await serve({ onSession: (socket, number) => socket.write(`session ${number};`) });
    const running = start([urlOf(server)], { input: null });
    await running.prints('session 1;');
    server.reset();
    await running.prints('session 2;');
    running.child.kill('SIGTERM');

    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGTERM', stdout: 'session 1;session 2;' });
  });

  test.concurrent('waits in an outage until the input is sent', async () => {
    const server = await serve({ echo: true });
    server.refuse();
    const running = start([urlOf(server)], { input: 'late' });
    await running.logs('retry 1 in');
    await server.accept();

    expect(await running.ended).toMatchObject({ code: 0, stdout: 'late' });
  });
});

describe('sessions', () => {
  test.concurrent('begin each with the hello, and then the input goes on', async () => {
    const server = await serve();
    const running = start(['--hello', 'AUTH \\x41\\\\\\t\\r\\n', urlOf(server)]);
    running.write('one');
    await server.receives('one');
    server.reset();
    await running.logs('lost session 1');
    await server.session(2);
    running.end('two');
    expect((await running.ended).code).toBe(0);

    expect([String(server.received(1)), String(server.received(2))]).toEqual([
      'AUTH A\\\t\r\none',
      'AUTH A\\\t\r\ntwo',
    ]);
  });

  test.concurrent('get every byte of a hello, also where there is no input', async () => {
    const server = await serve();
    const { code } = await start(['--hello', '\\xff\\x00é', urlOf(server)], { input: '' }).ended;

    expect(code).toBe(0);
    expect(server.received()).toEqual(Buffer.from([0xff, 0, 0xc3, 0xa9]));
  });

  test.concurrent('get whole lines with `--lines`, however the input comes', async () => {
    const server = await serve();
    const running = start(['--lines', urlOf(server)]);
    running.write('one\ntw');
    await server.receives('one\n');
    expect(String(server.received(1))).toBe('one\n');
    server.reset();
    await running.logs('lost session 1');
    await server.session(2);
    running.write('o\n');
    running.end('three\nfour');

    expect((await running.ended).code).toBe(0);
    expect(String(server.received(2))).toBe('two\nthree\nfour');
  });

  test.concurrent('do not share a line of output with `--lines`', async () => {
    const parts = ['whole\nhal', 'new\nended', 'last\nunended'];
    const server = await serve({ onSession: (socket, number) => socket.write(parts[number - 1]!) });
    const running = start(['--lines', urlOf(server)], { input: null });
    await running.prints('whole\n');
    server.reset();
    await running.prints('new\n');
    server.drop();
    await running.prints('last\n');
    running.child.kill('SIGINT');

    const { stdout, stderr } = await running.ended;
    expect(stdout).toBe('whole\nnew\nended\nlast\nunended\n');
    expect(stderr).toContain('an unfinished line of output was lost with the session (3 bytes)');
  });

  test.concurrent('are lost after `--idle`', async () => {
    const running = start(['--idle', '50', '--max-retries', '0', urlOf(await serve())], { input: null });

    expect(await running.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('for 50 ms') as string });
  });
});

describe('back-pressure', () => {
  // 32 MiB in lines of 1000 bytes, over Unix sockets: for TCP the kernel takes many MiB.
  const CHUNK = Buffer.from(`${'x'.repeat(999)}\n`.repeat(64));
  const TIMES = 512;
  const LENGTH = TIMES * CHUNK.length;
  /** What the kernel, the command and the streams of this process may hold: 4 MiB. */
  const BOUND = 64;
  const pathOf = (name: string) => join(directory, name);

  test.concurrent('holds back the input while the peer does not read', async () => {
    const server = await serve({ path: pathOf('mute') });
    server.mute();
    const running = start(['--lines', urlOf(server)]);
    const taken = running.pump(CHUNK, TIMES);
    await server.session(1);
    expect(await steady(taken)).toBeLessThan(BOUND);
    server.unmute();

    expect(await running.ended).toMatchObject({ code: 0 });
    expect(server.received().length).toBe(LENGTH);
  });

  test.concurrent('holds back the input in an outage', async () => {
    const server = await serve({ path: pathOf('outage') });
    const running = start([urlOf(server)]);
    await server.session(1);
    server.refuse();
    server.drop();
    await running.logs('retry 1 in');
    expect(await steady(running.pump(CHUNK, TIMES))).toBeLessThan(BOUND);
    await server.accept();

    expect(await running.ended).toMatchObject({ code: 0 });
    expect(server.received().length).toBe(LENGTH);
  });

  test.concurrent('holds back the peer while standard output is not read', async () => {
    const server = await serve({ path: pathOf('slow'), allowHalfOpen: true });
    const running = start([urlOf(server)], { input: 'x', reads: false });
    const taken = pump(await server.session(1), CHUNK, TIMES);
    expect(await steady(taken)).toBeLessThan(BOUND);
    running.read();

    const { code, stdout } = await running.ended;
    expect({ code, length: stdout.length }).toEqual({ code: 0, length: LENGTH });
  });

  test.concurrent('does not keep a signal from ending it, which says what is lost', async () => {
    const server = await serve({ path: pathOf('stuck') });
    const running = start([urlOf(server)], { input: null, reads: false });
    await steady(pump(await server.session(1), CHUNK, TIMES));
    running.child.kill('SIGTERM');
    await running.logs('standard output did not take all');
    running.read();

    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
  });
});

describe('the exit code', () => {
  test.concurrent('is 1 where it cannot connect, with `--once` and with `--max-retries`', async () => {
    const url = await closedUrl();
    const [retries, quiet] = await Promise.all([
      start(['--max-retries', '1', url], { input: 'x' }).ended,
      start(['--once', '--quiet', url], { input: null }).ended,
    ]);

    expect(retries).toMatchObject({ code: 1, stderr: expect.stringContaining('1 retry failed') as string });
    expect(quiet.code).toBe(1);
    expect(quiet.stderr).toMatch(/^\S+: closed \(not-retryable\): .*ECONNREFUSED.*\n$/);
  });

  test.concurrent('is 1 where the session is lost after the end of input', async () => {
    const server = await serve({
      allowHalfOpen: true,
      onSession: (socket) => void socket.on('end', () => cutSocket(socket, 'reset')),
    });
    const { code, stderr } = await start(['--quiet', urlOf(server)], { input: 'x' }).ended;

    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^\S+: the session was lost after the end of input: .*ECONNRESET\n$/) as string,
    });
  });

  test.concurrent('of `--once` is 0 where the peer ends after the input, or where there is none', async () => {
    const server = await serve({ onSession: (socket) => socket.end('bye') });
    const all = await Promise.all([
      start(['--once', urlOf(server)], { input: '' }).ended,
      start(['--once', urlOf(server)], { input: null }).ended,
    ]);

    for (const each of all) expect(each).toMatchObject({ code: 0, stdout: 'bye' });
  });

  test.concurrent('of `--once` is 1 where the peer ends before the input, or cuts the session', async () => {
    const [ending, cutting] = [await serve(), await serve()];
    const [ended, cut] = [
      start(['--once', urlOf(ending)]),
      start(['--once', '--quiet', urlOf(cutting)], { input: null }),
    ];
    await Promise.all([ended.logs('open'), cutting.session(1)]);
    ending.drop();
    cutting.reset();
    expect(await ended.ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the session ended before standard input did') as string,
    });
    expect(await cut.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('ECONNRESET') as string });
  });

  test.concurrent('is 3 where input may be lost with its session, and the last line counts it', async () => {
    const server = await serve({ path: join(directory, 'lost') });
    server.mute();
    const running = start(['--lines', '--quiet', '--max-retries', '0', urlOf(server)]);
    const taken = running.pump(Buffer.from(`${'x'.repeat(999)}\n`.repeat(64)), 100);
    const socket = await server.session(1);
    // More than the pipe holds: the command has begun to write.
    await until(() => taken() > 4);
    await steady(taken);
    server.refuse();
    socket.destroy();

    const { code, stderr } = await running.ended;
    expect(code).toBe(3);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(
      /^unix:\S+: of standard input, (\d+ lines \(\d+ bytes\) not sent, )?\d+ lines? \(\d+ bytes\) may be lost$/,
    );
  });

  test.concurrent('is that of SIGPIPE where standard output is closed, and nothing is said of it', async () => {
    const talk = (socket: Socket) => {
      const timer = setInterval(() => socket.write('x\n'), 10);
      socket.on('close', () => clearInterval(timer));
    };
    const server = await serve({ onSession: talk });
    const running = start(['--quiet', urlOf(server)], { input: null });
    await running.prints('x\n');
    running.child.stdout!.destroy();

    expect(await running.ended).toMatchObject({ code: 141, stderr: '' });
  });

  test.concurrent('is 1 where standard output fails otherwise', async () => {
    if (!existsSync('/dev/full')) return;
    const server = await serve({ onSession: (socket) => socket.write('x') });
    const stdio: StdioOptions = ['ignore', openSync('/dev/full', 'w'), 'pipe'];
    const running = new Running(spawn(process.execPath, [COMMAND, urlOf(server)], { stdio }), false);

    expect(await running.ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('standard output failed: ENOSPC') as string,
    });
  });
});

describe('a signal', () => {
  test.concurrent('lets the session end in good order, and then ends the process as it would have done', async () => {
    const server = await serve({
      allowHalfOpen: true,
      onSession: (socket) => void socket.on('end', () => socket.end('bye')),
    });
    const running = start([urlOf(server)]);
    running.write('sent');
    await server.receives('sent');
    running.child.kill('SIGHUP');

    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGHUP', stdout: 'bye' });
  });

  test.concurrent('is exit code 3 where it leaves a line unfinished, and the last line counts it', async () => {
    const server = await serve();
    const running = start(['--lines', urlOf(server)]);
    running.write('one\ntw');
    await server.receives('one\n');
    running.child.kill('SIGTERM');
    const { code, stderr } = await running.ended;

    expect(code).toBe(3);
    expect(stderr).toMatch(/: of standard input, 1 line \(2 bytes\) not sent\n$/);
  });

  test.concurrent('ends an outage at once, and leaves what waits in the pipe to other readers', async () => {
    const server = await serve();
    const running = start([urlOf(server)]);
    await server.session(1);
    server.refuse();
    server.drop();
    await running.logs('retry 1 in');
    running.write('not read');
    running.child.kill('SIGTERM');

    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
  });

  test.concurrent('that comes twice ends it at once', async () => {
    const server = await serve({ allowHalfOpen: true });
    const running = start([urlOf(server)]);
    const socket = await server.session(1);
    await running.logs('open');
    running.child.kill('SIGINT');
    await once(socket, 'end');
    running.child.kill('SIGINT');

    expect(await running.ended).toMatchObject({ code: null, signal: 'SIGINT' });
  });
});

describe('targets', () => {
  test.concurrent('may be TLS, with certificates of a client', async () => {
    const { ca, server: pair, client } = await loadCertificates();
    const files = { ca: ca.cert, cert: client.cert, key: client.key };
    for (const [name, pem] of Object.entries(files)) writeFileSync(join(directory, name), pem);
    const server = await serve({ echo: true, tls: { ...pair, ca: ca.cert, requestCert: true } });
    const url = urlOf(server).replace('tcp', 'tls');
    const args = Object.keys(files).flatMap((name) => [`--${name}`, join(directory, name)]);
    const [trusted, other, untrusted, insecure] = await Promise.all([
      start([...args, '--servername', 'localhost', url], { input: 'x' }).ended,
      start([...args, '--servername', 'elsewhere.test', '--once', url], { input: 'x' }).ended,
      start(['--once', url], { input: 'x' }).ended,
      start(['--insecure', '--quiet', ...args.slice(2), url], { input: 'x' }).ended,
    ]);

    expect(trusted).toMatchObject({ code: 0, stdout: 'x' });
    expect(other).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('elsewhere.test') as string });
    expect(untrusted).toMatchObject({ code: 1, stdout: '' });
    expect(insecure).toMatchObject({ code: 0, stdout: 'x' });
    expect(insecure.stderr).toMatch(/^\S+: --insecure turns off the verification of certificates: .*\n$/);
  });
});

describe('arguments', () => {
  test.concurrent.each([
    [['tcp://u:secret@h:1'], 'Expected the URL to have no user name and no password'],
    [['--ca', __filename, 'tls://h:1'], 'Expected --ca to be certificates in PEM, got no PEM'],
  ])('that are wrong exit with 2 and one line: %p', async (args, message) => {
    const { code, stdout, stderr } = await start(args).ended;

    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `reconnecting-connection: ${message} (see --help)\n`,
    });
  });

  test.concurrent('`--version` and `--help` print and do no more', async () => {
    const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string };
    const [shown, help] = await Promise.all([start(['--version']).ended, start(['--help', 'x']).ended]);

    expect(shown).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(Math.max(...help.stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  });
});
