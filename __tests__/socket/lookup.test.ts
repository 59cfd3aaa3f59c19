import dns, { type LookupAddress } from 'node:dns';
import { type LookupFunction, connect } from 'node:net';
import { once } from 'node:events';

import type { SocketOptions } from '../../lib/options/options';
import { lookUp } from '../../lib/socket/lookup';
import { Loopback, connectTo, payload } from '../kit/loopback';

type Lookup = (...args: Parameters<LookupFunction>) => unknown;

const FOUR: LookupAddress = { address: '127.0.0.1', family: 4 };
const SIX: LookupAddress = { address: '::1', family: 6 };

/** What is found, or the error. */
function find(options: SocketOptions): Promise<unknown> {
  return new Promise((resolve) => {
    lookUp('lamp.local', options, (error, addresses) => resolve(error ?? addresses));
  });
}

/** What is found where one address is asked for, and where all are. */
function answers(lookup: Lookup): Promise<unknown[]> {
  // `as`: an application may pass an async function.
  const options = { lookup: lookup };
  return Promise.all([find({ ...options, autoSelectFamily: false }), find(options)]);
}

/** A `lookup` that calls back with these, whatever was asked for. */
function calls(...answer: unknown[]): Lookup {
  // `as`: the answers may be wrong.
  return (_name, _options, callback) => (callback as (...args: unknown[]) => void)(...answer);
}

describe('a lookup', () => {
  it.each<[string, Lookup]>([
    ['one address', calls(null, '127.0.0.1', 4)],
    ['one address without its family', calls(null, '127.0.0.1')],
    ['one address and a wrong family', calls(null, '127.0.0.1', 6)],
    ['undefined for no error', calls(undefined, '127.0.0.1', 4)],
    ['a list', calls(null, [FOUR])],
    ['a list without families', calls(null, [{ address: '127.0.0.1' }])],
    ['a list of texts, as `dns.resolve4()`', calls(null, ['127.0.0.1'])],
    ['an object', calls(null, FOUR)],
    ['an address that it returns', () => '127.0.0.1'],
    ['a list that it returns', () => [FOUR]],
    ['an address that it resolves with', () => Promise.resolve('127.0.0.1')],
    ['an object that it resolves with, as `dns.promises.lookup()`', () => Promise.resolve(FOUR)],
    ['a callback, and resolves afterwards', async (...args) => (calls(null, [FOUR])(...args), Promise.resolve('::1'))],
    ['a callback, and again', (...args) => [calls(null, [FOUR])(...args), calls(null, '::1')(...args)].length],
  ])('may answer with %s', async (_what, lookup) => {
    expect(await answers(lookup)).toEqual([[FOUR], [FOUR]]);
  });

  it('may answer with several addresses: all of them count, or the first', async () => {
    expect(await answers(calls(null, [SIX, FOUR]))).toEqual([[SIX], [SIX, FOUR]]);
  });

  it('that returns an object, as `dns.lookup()` does, is waited for', async () => {
    const found = await answers((_name, options, callback) => dns.lookup('127.0.0.1', options, callback));
    expect(found).toEqual([[FOUR], [FOUR]]);
  });

  it.each<[string, Lookup, string]>([
    ['nothing', calls(null), 'got undefined'],
    ['nothing at all', calls(), 'got undefined'],
    ['an empty list', calls(null, []), 'got an array'],
    ['a name', calls(null, 'other.local', 4), 'got "other.local" (string)'],
    ['an empty text', calls(null, ''), 'got "" (string)'],
    ['a number', calls(null, 2130706433), 'got 2130706433 (number)'],
    ['a list of null', calls(null, [null]), 'got null'],
    ['a list with one that is none', calls(null, [FOUR, { address: 'x' }]), 'got an object'],
    ['an address and its port', calls(null, '127.0.0.1:80'), 'got "127.0.0.1:80" (string)'],
    ['junk that it resolves with', () => Promise.resolve(5), 'got 5 (number)'],
    ['junk that it returns', () => 'lamp', 'got "lamp" (string)'],
  ])('that answers with %s has failed', async (_what, lookup, words) => {
    for (const error of await answers(lookup)) {
      expect(error).toMatchObject({
        code: 'ENOTFOUND',
        hostname: 'lamp.local',
        message: `Expected the lookup of lamp.local to answer with an IP address, ${words}`,
      });
    }
  });

  it.each<[string, Lookup]>([
    ['calls back with an error', calls(new Error('no such lamp'))],
    [
      'throws',
      () => {
        throw new Error('no such lamp');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no such lamp'))],
    ['answers with what throws', calls(null, [{ get address(): string { throw new Error('no such lamp'); } }])], // prettier-ignore
  ])('that %s has failed with that', async (_how, lookup) => {
    expect(await answers(lookup)).toEqual([new Error('no such lamp'), new Error('no such lamp')]);
  });

  it('that calls back with what is no error, has failed with an error', async () => {
    expect(await answers(calls('ENOENT'))).toMatchObject([{ cause: 'ENOENT' }, { cause: 'ENOENT' }]);
  });

  it.each([{}, { family: 4 }, { autoSelectFamily: false }, { autoSelectFamily: true }] as const)(
    'that answers with one address opens the connection, with %j',
    async (socket) => {
      const server = await Loopback.start();
      const lookup = calls(null, '127.0.0.1', 4);
      const connection = connectTo(
        { target: { host: 'lamp.local', port: server.port } },
        { socket: { ...socket, lookup } },
      );

      expect(await payload(connection, 'open')).toMatchObject({ remoteAddress: '127.0.0.1' });
    },
  );

  it('that answers with one address is more than Node takes', async () => {
    const server = await Loopback.start();
    const naive = calls(null, '127.0.0.1', 4);
    const socket = connect({ host: 'lamp.local', port: server.port, lookup: naive, autoSelectFamily: true });

    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_INVALID_IP_ADDRESS');
  });
});

describe('the addresses', () => {
  const four = (last: number): LookupAddress => ({ address: `127.0.0.${last}`, family: 4 });
  const six = (last: number): LookupAddress => ({ address: `fe80::${last}`, family: 6 });

  test('are asked for as Node asks', async () => {
    const asked: unknown[] = [];
    const lookup: LookupFunction = (_name, options, callback) => {
      asked.push(options);
      callback(null, [FOUR]);
    };
    await find({ lookup });
    await find({ lookup, autoSelectFamily: false, hints: dns.ALL });
    await find({ lookup, family: 4 });
    await find({ lookup, family: 0, localAddress: '::1' });
    const hints = process.platform === 'win32' ? 0 : dns.ADDRCONFIG;
    expect(asked).toEqual([
      { family: 0, hints, all: true },
      { family: 0, hints: dns.ALL, all: false },
      { family: 4, hints: 0, all: true },
      { family: 6, hints: 0, all: true },
    ]);
  });

  test('are those of `/etc/hosts` without a `lookup`', async () => {
    const found: unknown = await new Promise((resolve) =>
      lookUp('localhost', {}, (_error, addresses) => resolve(addresses)),
    );
    expect([[FOUR], [SIX], [FOUR, SIX], [SIX, FOUR]]).toContainEqual(found);
  });

  it.each([
    ['in the order of the answer', [four(2), four(1)], [four(2), four(1)]],
    ['the families in turns', [six(1), six(2), six(3), four(1), four(2)], [six(1), four(1), six(2), four(2), six(3)]],
    ['beginning with the family of the first', [four(1), six(1), six(2)], [four(1), six(1), six(2)]],
    ['each once', [four(1), six(1), four(1), four(2), six(1)], [four(1), six(1), four(2)]],
  ])('come %s', async (_how, found, ordered) => {
    expect(await find({ lookup: (_name, _options, callback) => callback(null, found) })).toEqual(ordered);
  });

  it.each([{ family: 4 }, { localAddress: '127.0.0.1' }] as const)('are of one family with %j', async (options) => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, [SIX, four(1), four(2)]);
    expect(await find({ lookup, ...options })).toEqual([four(1), four(2)]);
  });

  test('of another family alone are dialled all the same: the failure says why', async () => {
    expect(await find({ lookup: (_name, _options, callback) => callback(null, [SIX]), family: 4 })).toEqual([SIX]);
  });

  test('a first address that refuses gives way to the next', async () => {
    const server = await Loopback.start({ host: '127.0.0.3' });
    const lookup: LookupFunction = (_name, { all }, callback) => {
      const found = ['127.0.0.2', '127.0.0.3'].map((address) => ({ address, family: 4 }));
      if (all === true) callback(null, found);
      else callback(null, found[0]!.address, 4);
    };
    for (const socket of [
      { lookup, family: 4 },
      { lookup, localAddress: '127.0.0.1' },
    ] as const) {
      const connection = connectTo(server, { host: 'two.test', socket });
      expect((await payload(connection, 'open')).remoteAddress).toBe('127.0.0.3');
    }
  });
});
