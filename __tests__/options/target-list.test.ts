import { setImmediate as turn } from 'node:timers/promises';

import { type ConnectionOptions, ReconnectingConnection, type Target } from 'reconnecting-connection';
import { ScriptedDial } from 'reconnecting-connection/testing';

import { resolveList, targetsInOrder } from '../../lib/options/target-list';

const [a, b, c] = ['a.test', 'b.test', 'c.test'].map((host): Target => ({ host, port: 1 })) as [Target, Target, Target];

describe('targetsInOrder()', () => {
  const next = targetsInOrder(resolveList([a, b, c], undefined));
  const ask = async (attempt: number, previous?: Target) =>
    (await next(attempt, { generation: 1, ...(previous && { previous }) })) as Target & { host: string };

  it('begins with the first, goes on with the one after what failed, and begins again after the last', async () => {
    const first = await ask(1);
    const second = await ask(2, first);
    const third = await ask(3, second);
    const fourth = await ask(4, third);
    expect([first, second, third, fourth].map(({ host }) => host)).toEqual(['a.test', 'b.test', 'c.test', 'a.test']);
  });

  it('begins an outage after a healthy session with the target of that session', async () => {
    const second = await ask(2, await ask(1));
    expect(await ask(1, second)).toBe(second);
  });

  it('begins with the first where it does not know the previous one', async () => {
    expect(await ask(1, { port: 5 })).toEqual(a);
  });

  it('goes through a list that has a target twice', async () => {
    const twice = targetsInOrder(resolveList([a, a, b], undefined));
    let previous: Target | undefined;
    for (const host of ['a.test', 'a.test', 'b.test', 'a.test']) {
      previous = await twice(2, { generation: 1, ...(previous && { previous }) });
      expect(previous).toMatchObject({ host });
    }
  });

  it('keeps its own copy', async () => {
    const mutable = [{ host: 'a.test', port: 1 }];
    const copied = targetsInOrder(resolveList(mutable, undefined));
    mutable[0]!.port = 2;
    mutable.push({ host: 'b.test', port: 1 });
    const first = await copied(1, { generation: 1 });
    expect(first).toEqual({ host: 'a.test', port: 1 });
    expect(await copied(2, { generation: 1, previous: first })).toEqual(first);
  });
});

describe('a list of targets', () => {
  it.each<[string, unknown, string]>([
    [
      'that is empty',
      [],
      'Expected option `target` to be a function, or a list with at least one target, got an array',
    ],
    [
      'with a bad port',
      [a, { port: 0 }],
      'Expected option `target[1].port` to be an integer from 1 to 65535, got 0 (number)',
    ],
    ['with nowhere to go', [{ host: 'a.test' }], 'Expected option `target[0]` to be an object with `port` or `path`'],
    // The gap of a sparse array.
    ['with a gap', Object.assign([], { 1: a }), 'Expected option `target[0]` to be an object, got undefined'],
    ['with a typo', [{ prot: 1 }], 'target[0].prot'],
    [
      'with a path and a port',
      [a, { path: '/x', port: 1 }],
      'Expected option `target[1].port` to be absent when `path` is set, got 1 (number)',
    ],
    ['with a bad certificate', [a, { port: 1, tls: { cert: 'x' } }], 'Expected option `target[1].tls` to be options'],
    ['of URLs', ['tcp://a.test:1'], 'target[0]'],
  ])('%s throws, and names the entry', (_what, target, message) => {
    const make = () => new ReconnectingConnection({ target } as unknown as ConnectionOptions);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error);
    expect(make).toThrow(message);
  });

  it('is gone through, one target per dial, until a session is healthy, whatever the failure', async () => {
    const script = new ScriptedDial(['refuse', 'drop', 'open', 'refuse', 'refuse', 'refuse', 'open']);
    const dialled: string[] = [];
    const connection = new ReconnectingConnection({
      target: [a, b, c],
      dial: (target, signal) => {
        dialled.push('host' in target ? target.host[0]! : '');
        return script.dial(target, signal);
      },
      backoff: () => 10,
      minUptime: 60_000,
    });
    const peer = await script.attempt(3);
    await connection.whenOpen();
    while (connection.generation < 2 || connection.state !== 'open') await turn();
    expect([dialled.join(''), connection.tag]).toEqual(['abc', 'c.test:1']);

    connection.markHealthy();
    peer.drop();
    await script.attempt(7);
    connection.destroy();
    expect(dialled.join('')).toBe('abccabc');

    // A new lifecycle begins with the preferred one.
    connection.connect();
    await script.attempt(8);
    connection.destroy();
    expect(dialled.join('')).toBe('abccabca');
  });
});
