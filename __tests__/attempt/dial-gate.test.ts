import { AsyncLocalStorage } from 'node:async_hooks';

import type { MemberOptions } from '../../lib/options/options';
import type { DialGate, GateMember, DialGrant, DialRequest } from '../../lib/attempt/dial-gate';
import { AttemptFailure } from '../../lib/attempt/failure';
import { ReconnectingConnection } from '../../lib/connection';
import { record } from '../kit/record';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** A gate whose every answer the test gives, and which keeps a record of what a connection calls. */
class ScriptedGate implements DialGate {
  readonly calls: unknown[] = [];
  refusedAt = 0;
  answer: (answer: DialGrant | AttemptFailure) => void = () => undefined;

  acquire(_target: unknown, request: DialRequest): Promise<DialGrant | AttemptFailure> {
    this.calls.push(request);
    return new Promise((resolve) => (this.answer = resolve));
  }

  grant(): void {
    this.answer({ ok: true, slowAfter: undefined });
  }

  connected(took: number): void {
    this.calls.push(`connected ${took}`);
  }

  failed(took: number, { reason, error }: AttemptFailure): void {
    this.calls.push(`failed ${took} ${reason} ${error.message}`);
  }

  release(): void {
    this.calls.push('release');
  }

  takeTurn(_tag: string, begin: () => void): () => void {
    begin();
    return () => undefined;
  }

  close(): void {
    this.calls.push('close');
  }
}

/** A connection with a scripted gate and a scripted dial. */
function gated(options: MemberOptions = {}) {
  const gate = new ScriptedGate();
  const dialled = new ScriptedDial();
  let retryNow: () => boolean = () => false;
  const joinGate = (_settings: unknown, member: GateMember) => {
    retryNow = () => member.retryNow();
    return gate;
  };
  const connection = new ReconnectingConnection(
    { port: 1, dial: dialled.dial, connectTimeout: 100, backoff: () => 60_000, ...options },
    { joinGate },
  );
  return { gate, connection, links: dialled.links, retryNow: () => retryNow() };
}

const REFUSED = new AttemptFailure('error', new Error('another was refused'));

test('a dial waits for its grant, and the wait does not count against `connectTimeout`', async () => {
  const { gate, connection, links } = gated();
  await pass(1_000);
  expect([gate.calls, links.length, connection.stats.dials]).toEqual([[{ timeout: 100 }], 0, 0]);
  gate.grant();
  await settle();
  expect([links.length, connection.stats.dials]).toEqual([1, 1]);
  await pass(99);
  expect(connection.state).toBe('connecting');
  await pass(1);
  expect(connection.state).toBe('backoff');
  connection.destroy();
  expect(gate.calls.slice(1)).toEqual([
    'failed 100 connect-timeout No answer from 127.0.0.1:1 within 100 ms',
    'release',
    'close',
  ]);
});

test('a `target` function is asked before, and the time that it takes does count', async () => {
  const { gate, connection } = gated({
    port: undefined as never,
    target: () => new Promise((resolve) => setTimeout(resolve, 60, { port: 1 })),
  });
  await settle();
  expect(gate.calls).toEqual([]);
  await pass(60);
  expect(gate.calls).toEqual([{ timeout: 40 }]);
  await pass(1_000);
  gate.grant();
  await pass(39);
  expect(connection.state).toBe('connecting');
  await pass(1);
  expect(connection.state).toBe('backoff');
  connection.destroy();
});

test('without `connectTimeout` it waits for as long as the gate does', async () => {
  const { gate, connection } = gated({ connectTimeout: 0 });
  await pass(1_000_000);
  expect([gate.calls, connection.state]).toEqual([[{ timeout: Infinity }], 'connecting']);
  gate.grant();
  await settle();
  expect(jest.getTimerCount()).toBe(0);
  connection.destroy();
});

test('an attempt that the gate rejects has failed without a dial', async () => {
  const asked: number[] = [];
  const { gate, connection, links } = gated({
    port: undefined as never,
    target: (attempt) => {
      asked.push(attempt);
      return { port: 1 };
    },
  });
  const heard = record(connection, ['backoff']);
  await settle();
  gate.answer(REFUSED);
  await settle();
  expect(heard).toEqual([['backoff', expect.objectContaining({ attempt: 1, error: REFUSED.error, reason: 'error' })]]);
  expect([connection.stats.dials, connection.stats.failures, links.length]).toEqual([0, 1, 0]);
  expect(gate.calls.slice(1)).toEqual(['release']);
  connection.reconnect();
  await settle();
  expect(asked).toEqual([1, 2]);
  connection.destroy();
});

test('an attempt whose `target` function fails has failed as a dial, and is released without having asked', async () => {
  const { gate, connection } = gated({
    port: undefined as never,
    target: () => Promise.reject(new Error('no directory')),
  });
  await settle();
  expect([connection.stats.dials, connection.stats.failures, gate.calls]).toEqual([1, 1, ['release']]);
  connection.destroy();
});

test('a dial that is granted and cancelled in the same tick opens nothing', async () => {
  const { gate, connection, links } = gated();
  await settle();
  gate.grant();
  connection.destroy();
  await settle();
  expect([links.length, connection.stats.dials, gate.calls.slice(1)]).toEqual([0, 0, ['release', 'close']]);
  expect(jest.getTimerCount()).toBe(0);
});

test('a dial that connects says how long it took; its session says nothing', async () => {
  const { gate, connection, links } = gated();
  await settle();
  gate.grant();
  await pass(7);
  links[0]!.connect();
  await settle();
  expect(connection.state).toBe('open');
  links[0]!.fail();
  await settle();
  expect(gate.calls.slice(1)).toEqual(['connected 7', 'release']);
  connection.destroy();
});

test.each([
  ['ECONNREFUSED', ['failed 7 error scripted ECONNREFUSED', 'release']],
  ['ECONNRESET', ['connected 7', 'release']],
  ['EMFILE', ['release']],
  ['EADDRNOTAVAIL', ['release']],
])('a dial that fails with %s reports %j', async (code, calls) => {
  const { gate, connection, links } = gated();
  await settle();
  gate.grant();
  await pass(7);
  links[0]!.fail(code);
  await settle();
  expect([connection.state, gate.calls.slice(1)]).toEqual(['backoff', calls]);
  connection.destroy();
});

test('`retryNow` ends the backoff, and does nothing in another state', async () => {
  const { gate, connection, links, retryNow } = gated();
  expect(retryNow()).toBe(false);
  await settle();
  expect(retryNow()).toBe(false);
  gate.answer(REFUSED);
  await settle();
  expect([connection.state, retryNow(), connection.state]).toEqual(['backoff', true, 'connecting']);
  await settle();
  gate.grant();
  await settle();
  links[0]!.connect();
  await settle();
  expect([connection.state, retryNow(), connection.state]).toEqual(['open', false, 'open']);
  connection.destroy();
  expect([connection.state, retryNow(), connection.state]).toEqual(['closed', false, 'closed']);
});

test('a dial goes on in the asynchronous context of its connection, whatever that of the grant', async () => {
  const contexts = new AsyncLocalStorage<string>();
  const stores: unknown[] = [];
  const { gate, connection } = contexts.run('own', () =>
    gated({
      dial: () => {
        stores.push(contexts.getStore());
        return new Promise(() => undefined);
      },
    }),
  );
  await settle();
  contexts.run('other', () => gate.grant());
  await settle();
  expect(stores).toEqual(['own']);
  connection.destroy();
});
