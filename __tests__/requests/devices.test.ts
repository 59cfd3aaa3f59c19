import type { Socket } from 'node:net';
import { join } from 'node:path';

import type { MemberOptions } from 'reconnecting-connection';
import { type RequestsOptions, Requests } from 'reconnecting-connection/requests';
import split2 from 'split2';

import { Loopback, connectTo, payload, run, track } from '../kit/loopback';
import { javascript } from '../kit/processes';

/** A server that is called with each line that it receives. */
function lines(onLine: (line: string, socket: Socket, session: number) => void): Promise<Loopback> {
  return Loopback.start({
    onSession: (socket, session) => {
      socket.pipe(split2()).on('data', (line: string) => onLine(line, socket, session));
    },
  });
}

function talkTo(server: Loopback, options: Partial<RequestsOptions<string>> = {}, more: MemberOptions = {}) {
  const connection = connectTo<string>(server, { decoder: () => split2(), ...more });
  const requests = new Requests(connection, { timeout: 10_000, ...options });
  track({ destroy: () => requests.close() });
  return { connection, requests };
}

/** Answers after so many milliseconds, and hears nothing until then. */
async function busyDevice(milliseconds: number) {
  const obeyed: string[] = [];
  let dropped = 0;
  let isBusy = false;
  const server = await lines((line, socket) => {
    if (isBusy) {
      dropped += 1;
      return;
    }
    isBusy = true;
    obeyed.push(line);
    setTimeout(() => {
      isBusy = false;
      if (socket.writable) socket.write(`OK ${line}\n`);
    }, milliseconds);
  });
  return { server, obeyed, dropped: () => dropped };
}

const COMMANDS = ['PWR ON', 'INPUT HDMI1', 'VOL 20', 'MUTE OFF', 'MODE STEREO'];

test('a device that drops what comes while it is busy obeys all commands, whether given before it is there or in one turn', async () => {
  const { server, obeyed, dropped } = await busyDevice(20);
  const { connection, requests } = talkTo(server);
  const early = COMMANDS.map((line) => requests.request(`${line}\n`));
  expect(await Promise.all(early)).toEqual(COMMANDS.map((line) => `OK ${line}`));
  const late = COMMANDS.map((line) => requests.request(`${line}\n`));
  expect(await Promise.all(late)).toEqual(COMMANDS.map((line) => `OK ${line}`));

  expect(obeyed).toEqual([...COMMANDS, ...COMMANDS]);
  expect([dropped(), connection.generation]).toEqual([0, 1]);
});

test('a device that needs a pause gets it: `gap`', async () => {
  const heardAt: number[] = [];
  let answeredAt = -Infinity;
  const server = await lines((line, socket) => {
    heardAt.push(performance.now() - answeredAt);
    socket.write(`OK ${line}\n`);
    answeredAt = performance.now();
  });
  const { requests } = talkTo(server, { gap: 30 });
  await Promise.all(COMMANDS.map((line) => requests.request(`${line}\n`)));

  // A timer of Node's may be a millisecond early.
  expect(heardAt.filter((pause) => pause < 29)).toEqual([]);
});

test('a SELECT in `open` and the pong of a heartbeat are never taken for the answer to another question', async () => {
  const server = await lines((line, socket) => {
    const answer = line === 'PING' ? 'PONG' : `answer to ${line}`;
    setTimeout(() => socket.writable && socket.write(`${answer}\n`), line.startsWith('BLPOP') ? 60 : 0);
  });
  const { connection, requests } = talkTo(server);
  const selected: Promise<string>[] = [];
  connection.on('open', () => selected.push(requests.request('SELECT 3\n')));
  requests.heartbeat('PING\n', { interval: 20, timeout: 10_000 });
  expect(await requests.request('GET a\n')).toBe('answer to GET a');
  server.refuse();
  server.reset();
  await payload(connection, 'reset');
  const questions = ['GET x', 'BLPOP y', 'GET z', 'BLPOP u', 'DEL v'];
  const asked = Promise.all(questions.map((question) => requests.request(`${question}\n`)));
  await server.accept();
  const answers = await asked;
  const idle = server.text().split('PING').length;
  await server.until(() => server.text().split('PING').length > idle + 1);

  expect(answers).toEqual(questions.map((question) => `answer to ${question}`));
  expect(await Promise.all(selected)).toEqual(['answer to SELECT 3', 'answer to SELECT 3']);
});

test('a server that answers late has its late answer taken for no other, in order or by key', async () => {
  const server = await lines((line, socket, session) => {
    const [id = ''] = line.split(' ');
    const delay = id === '1' && session === 1 ? 150 : 0;
    setTimeout(() => socket.writable && socket.write(`${line} answered\n`), delay);
  });
  const ordered = talkTo(server);
  await ordered.connection.whenOpen();
  const first = ordered.requests.request('1 a\n', { timeout: 50 });
  await expect(first).rejects.toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
  expect(await ordered.requests.request('2 b\n')).toBe('2 b answered');
  expect(ordered.connection.generation).toBe(2);
  ordered.requests.close();

  const again = await lines((line, socket) => {
    setTimeout(() => socket.writable && socket.write(`${line} answered\n`), line.startsWith('1') ? 150 : 0);
  });
  const keyed = talkTo(again, { match: (line) => line.split(' ')[0] });
  const late = new Promise((resolve) => keyed.requests.once('unasked', (line, { late }) => resolve([line, late])));
  await keyed.connection.whenOpen();
  const slow = keyed.requests.request('1 a\n', { timeout: 50, key: '1' });
  await expect(slow).rejects.toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
  expect(await keyed.requests.request('2 b\n', { key: '2' })).toBe('2 b answered');
  expect(await late).toEqual(['1 a answered', true]);
  expect(keyed.connection.generation).toBe(1);
});

test('a timeout and an answer that race have one outcome, and nothing is paired wrongly', async () => {
  const server = await lines((line, socket) => {
    setTimeout(() => socket.writable && socket.write(`${line} answered\n`), Number(line) % 7);
  });
  const { requests } = talkTo(server, { match: (line) => parseInt(line), concurrency: 8 });
  const fates = await Promise.allSettled(
    Array.from({ length: 300 }, (_, key) => requests.request(`${key}\n`, { key, timeout: key % 3 === 0 ? 5 : 5_000 })),
  );
  const wrong = fates.flatMap((fate, key) =>
    fate.status === 'fulfilled'
      ? fate.value === `${key} answered`
        ? []
        : [fate.value]
      : /ERR_EXPIRED|ERR_DELIVERY_UNCERTAIN/.test((fate.reason as { code: string }).code) && key % 3 === 0
        ? []
        : [fate.reason as unknown],
  );

  expect(wrong).toEqual([]);
  expect([requests.waiting, requests.unanswered]).toEqual([0, 0]);
});

test.each([1, 16])(
  '10,000 requests through 50 outages, %i at a time: each answer is that of its request, and none is sent twice',
  async (concurrency) => {
    const COUNT = 10_000;
    const heard = new Map<string, number>();
    let outages = 0;
    const server = await lines((line, socket) => {
      heard.set(line, (heard.get(line) ?? 0) + 1);
      if (socket.destroyed) return;
      // Dies in the middle of an answer.
      if (outages < 50 && heard.size >= (outages + 1) * 190) {
        outages += 1;
        socket.write(`answer to ${line.slice(0, 1)}`, () => socket.resetAndDestroy());
        return;
      }
      socket.write(`answer to ${line}\n`);
    });
    const { connection, requests } = talkTo(server, { concurrency, timeout: 60_000 }, { backoff: () => 5 });
    const fates = await Promise.allSettled(Array.from({ length: COUNT }, (_, id) => requests.request(`${id}\n`)));

    let lost = 0;
    fates.forEach((fate, id) => {
      if (fate.status === 'fulfilled') return expect(fate.value).toBe(`answer to ${id}`);
      lost += 1;
      expect(fate.reason).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
    });
    expect([outages, connection.generation]).toEqual([50, 51]);
    expect(lost).toBeGreaterThanOrEqual(50);
    expect(lost).toBeLessThanOrEqual(50 * concurrency);
    expect([...heard.values()].filter((times) => times > 1)).toEqual([]);
    expect([requests.waiting, requests.unanswered]).toEqual([0, 0]);
  },
  60_000,
);

test('a peer that stops reading has nothing sent that was given up meanwhile', async () => {
  const server = await lines((line, socket) => socket.write(`${line.length}\n`));
  const { connection, requests } = talkTo(server, { match: (line) => line, concurrency: 1_000 });
  const socket = await server.meets(connection);
  socket.pause();
  const large = 'x'.repeat(4_000_000);
  const given = Array.from({ length: 8 }, (_, index) =>
    requests.request(`${large}${index}\n`, { key: index, timeout: 300 }).catch((error: unknown) => error),
  );
  // The kernels hold some of the first ones. The rest waits here.
  const codes = (await Promise.all(given)).map((error) => (error as { code: string }).code);
  const sent = codes.filter((code) => code === 'ERR_DELIVERY_UNCERTAIN').length;
  expect(codes.slice(sent)).toEqual(Array(8 - sent).fill('ERR_EXPIRED'));
  expect(sent).toBeLessThan(8);
  socket.resume();
  expect(await requests.request('last\n', { key: '4' })).toBe('4');

  expect(server.receivedBytes).toBe(sent * (large.length + 2) + 'last\n'.length);
});

test('chunks of `data` are answers where there is no decoder, and keep their bytes with `reuseReadBuffer`', async () => {
  const server = await lines((line, socket) => socket.write(line));
  const connection = connectTo(server, { reuseReadBuffer: true });
  using requests = new Requests(connection, { timeout: 10_000 });
  const answers: Promise<Buffer>[] = ['first', 'second'].map((line) => requests.request(`${line}\n`));

  expect((await Promise.all(answers)).map(String)).toEqual(['first', 'second']);
});

test('a banner that arrives before the first request is unasked', async () => {
  const server = await Loopback.start({ onSession: (socket) => void socket.write('220 ready\n') });
  const { connection, requests } = talkTo(server);
  const unasked = new Promise((resolve) => requests.once('unasked', (line, info) => resolve([line, info])));

  expect(await unasked).toEqual(['220 ready', { key: undefined, late: false }]);
  expect(connection.state).toBe('open');
});

test('a session that fails for an answer that does not come counts as a failure: the backoff grows', async () => {
  const server = await lines(() => undefined);
  const { connection, requests } = talkTo(server, {}, { backoff: ({ attempt }) => attempt * 5 });
  const attempts: number[] = [];
  connection.on('backoff', ({ attempt }) => attempts.push(attempt));
  for (const line of ['a', 'b', 'c']) {
    await expect(requests.request(`${line}\n`, { timeout: 60 })).rejects.toThrow();
  }
  await payload(connection, 'open', ({ generation }) => generation === 4);

  expect(attempts).toEqual([1, 2, 3]);
});

test('a process with requests of every fate ends by itself, without an unhandled rejection', async () => {
  const { code, said, stderr } = await run(`
    const { Requests } = require(${JSON.stringify(join(await javascript(), 'lib/requests/index.js'))});
    const server = net.createServer((socket) => socket.on('error', () => {}).on('data', (data) => {
      if (String(data) === 'die') socket.resetAndDestroy();
      else if (String(data) !== 'mute') setTimeout(() => socket.write(data), 5);
    }));
    process.on('unhandledRejection', (error) => say('unhandled ' + error.message));
    server.listen(0, '127.0.0.1', async () => {
      const connection = new ReconnectingConnection({ ...QUICK, port: server.address().port });
      const requests = new Requests(connection, { timeout: 2_000 });
      requests.heartbeat('ping', { interval: 10, timeout: 50 });
      const controller = new AbortController();
      const codes = await Promise.all([
        requests.request('a'), requests.request('die'), requests.request('b'),
        requests.request('c', { signal: controller.signal }), requests.request('d', { timeout: 1 }),
      ].map((each, index) => {
        if (index === 2) each.then(() => controller.abort(), () => {});
        return each.then(String, ({ code }) => code);
      }));
      say(codes);
      say(await requests.request('mute', { timeout: 100 }).catch(({ code }) => code));
      setTimeout(() => {
        server.close();
        connection.destroy();
        say('destroyed');
      }, 100);
    });
  `);

  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(said).toEqual([
    ['a', 'ERR_DELIVERY_UNCERTAIN', 'b', 'ERR_ABORTED', 'ERR_EXPIRED'],
    'ERR_DELIVERY_UNCERTAIN',
    'destroyed',
  ]);
});
