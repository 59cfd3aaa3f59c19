import dns, { type LookupAddress } from 'node:dns';
import { type LookupFunction, connect } from 'node:net';
import { once } from 'node:events';

import { guardLookup, lookupOf } from '../../lib/socket/lookup';
import { Loopback, connectTo, payload } from '../kit/loopback';

type Lookup = (...args: Parameters<LookupFunction>) => unknown;

const FOUR: LookupAddress = { address: '127.0.0.1', family: 4 };
const SIX: LookupAddress = { address: '::1', family: 6 };

/** What Node would be told, for one address and for all. */
function answers(lookup: Lookup): Promise<unknown[]> {
  const ask = (all: boolean) =>
    new Promise((resolve) => {
      guardLookup(lookup)('lamp.local', { all }, (error, ...answer) => resolve(error ?? answer));
    });
  return Promise.all([ask(false), ask(true)]);
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
    expect(await answers(lookup)).toEqual([['127.0.0.1', 4], [[FOUR]]]);
  });

  it('may answer with several addresses: Node gets all of them, or the first', async () => {
    expect(await answers(calls(null, [SIX, FOUR]))).toEqual([['::1', 6], [[SIX, FOUR]]]);
  });

  it('that returns an object, as `dns.lookup()` does, is waited for', async () => {
    const [one, all] = await answers((_name, options, callback) => dns.lookup('127.0.0.1', options, callback));
    expect([one, all]).toEqual([['127.0.0.1', 4], [[FOUR]]]);
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

describe('the family of the addresses', () => {
  const OTHER: LookupAddress = { address: '127.0.0.2', family: 4 };

  /** What Node gets for one address (`all: false`) or for a list. */
  function ask(options: Parameters<typeof lookupOf>[0], all: boolean): Promise<unknown[]> {
    return new Promise((resolve) => {
      lookupOf(options)!('lamp.local', { all }, (error, ...answer) => resolve(error === null ? answer : [error]));
    });
  }

  test('is left to Node where neither `family` nor `localAddress` is set', () => {
    expect(lookupOf({})).toBeUndefined();
    expect(lookupOf({ family: 0 })).toBeUndefined();
  });

  test('`family` has a list of all its addresses for Node, which dials one after another', async () => {
    const asked: unknown[] = [];
    const lookup: LookupFunction = (_name, options, callback) => {
      asked.push(options);
      callback(null, [SIX, FOUR, OTHER]);
    };
    expect(await ask({ lookup, family: 4 }, true)).toEqual([[FOUR, OTHER]]);
    expect(asked).toEqual([{ all: true, family: 4, hints: 0 }]);
  });

  test('`localAddress` has one address of its family, and in time each of them', async () => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, [SIX, FOUR, OTHER]);
    const seen = new Set<unknown>();
    for (let dial = 0; seen.size < 2; dial++) {
      expect(dial).toBeLessThan(1_000);
      const [address, family] = await ask({ lookup, localAddress: '127.0.0.1' }, false);
      expect(family).toBe(4);
      seen.add(address);
    }
    expect([...seen].sort()).toEqual(['127.0.0.1', '127.0.0.2']);
  });

  test('an answer of another family alone is passed on, for the dial to fail by', async () => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, [SIX]);
    expect(await ask({ lookup, family: 4 }, true)).toEqual([[SIX]]);
  });

  test('an error is passed on', async () => {
    const wrong = new Error('no such lamp');
    const lookup: LookupFunction = (_name, _options, callback) => callback(wrong, []);
    expect(await ask({ lookup, family: 4 }, true)).toEqual([wrong]);
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
