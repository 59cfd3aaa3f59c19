import {
  type ConnectionOptions,
  ConnectionError,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  constantBackoff,
  defaultBackoff,
  exponentialBackoff,
  logEvents,
} from 'reconnecting-connection';
import { exportMetrics as exportOpenTelemetry } from 'reconnecting-connection/opentelemetry';
import { exportMetrics as exportPrometheus } from 'reconnecting-connection/prometheus';
import { DeliveryWindow } from 'reconnecting-connection/delivery';
import { Requests } from 'reconnecting-connection/requests';

import { fromCaller } from '../lib/errors';
import { track } from './kit/clean-up';

/** What `call` throws, and the first line of its stack. */
function thrownBy(call: () => unknown): { error: ConnectionError; first: string } {
  try {
    call();
  } catch (error) {
    // `as`: the tests look at it.
    const thrown = error as ConnectionError;
    const first = thrown.stack?.split('\n').find((line) => line.startsWith('    at ')) ?? '';
    return { error: thrown, first };
  }
  throw new Error('Nothing was thrown');
}

class Subclass extends ReconnectingConnection {}

class WithConstructor extends ReconnectingConnection {
  constructor(port: number) {
    super({ port });
  }
}

const connection = track(new ReconnectingConnection({ port: 1, autoConnect: false }));
const other = track(new ReconnectingConnection({ port: 1, autoConnect: false }));
const pool = new ConnectionPool();
const registry = new ConnectionRegistry();

describe('the stack of an error for a bad argument begins in the file of the caller', () => {
  it.each<[string, () => unknown]>([
    ['new ReconnectingConnection()', () => new ReconnectingConnection({ port: 0 })],
    ['the same with options that are nested', () => new ReconnectingConnection({ port: 1, queue: { maxAge: -1 } })],
    ['the same with a backoff', () => new ReconnectingConnection({ port: 1, backoff: { initialDelay: -1 } })],
    ['the same with a URL', () => new ReconnectingConnection('redis://db')],
    ['the same by Reflect', () => Reflect.construct(ReconnectingConnection, [{}]) as unknown],
    ['a subclass', () => new Subclass({ port: 0 })],
    ['a subclass with a constructor', () => new WithConstructor(0)],
    ['write()', () => connection.write(5 as never)],
    ['write() with an encoding', () => connection.write('x', 'utf9' as never)],
    ['whenOpen()', () => connection.whenOpen({ attempts: 0 })],
    ['reconnect()', () => connection.reconnect({ delay: -1 })],
    ['sessions()', () => connection.sessions({ highWaterMark: 0 })],
    ['toDuplex()', () => connection.toDuplex({ onReset: 'x' as never })],
    ['new ConnectionPool()', () => new ConnectionPool({ maxConnecting: 0 })],
    ['pool.add()', () => pool.add({ port: 0 })],
    ['pool.add() without a target', () => pool.add({})],
    ['pool.write()', () => pool.write(5 as never)],
    ['pool.broadcast()', () => pool.broadcast(5 as never)],
    ['registry.connect()', () => registry.connect({ port: 0 })],
    ['registry.createPool()', () => registry.createPool('', {})],
    ['registry.createPool() with options', () => registry.createPool('x', { maxConnecting: 0 })],
    ['exponentialBackoff()', () => exponentialBackoff({ initialDelay: 2, maxDelay: 1 })],
    ['constantBackoff()', () => constantBackoff(-1)],
    ['defaultBackoff()', () => defaultBackoff({ random: 1 as never })],
    ['new Requests()', () => new Requests({} as never, { timeout: 1 })],
    ['request()', () => new Requests(other, { timeout: 1 }).request(5 as never)],
    ['new DeliveryWindow()', () => new DeliveryWindow(other, {} as never)],
    ['send()', () => new DeliveryWindow(other, { encode: String, maxBytes: 1 }).send(5 as never)],
    ['acknowledge()', () => new DeliveryWindow(other, { encode: String, maxBytes: 1 }).acknowledge(1)],
    ['exportMetrics() for Prometheus', () => exportPrometheus(connection, {} as never)],
    ['exportMetrics() for OpenTelemetry', () => exportOpenTelemetry(connection, {} as never)],
    ['setMaxListeners()', () => connection.setMaxListeners(-1)],
    ['logEvents()', () => logEvents(connection, {} as never)],
  ])('%s', (_what, call) => {
    const { error, first } = thrownBy(call);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.code).toMatch(/^ERR_INVALID_(?:OPTION|CHUNK)$/);
    expect(first).toContain('stack.test.ts');
    expect(error.stack).toMatch(`ConnectionError: ${error.message}\n`);
  });

  it('also of a function that a test runner has put in place of ours', () => {
    const original = ConnectionRegistry.prototype.connect;
    jest.spyOn(ConnectionRegistry.prototype, 'connect').mockImplementation(() => undefined as never);
    const { error } = thrownBy(() => original.call(registry, { port: 0 } satisfies ConnectionOptions));
    jest.restoreAllMocks();

    expect(error.stack).toMatch(/\n {4}at /);
  });

  it('and other errors keep theirs', () => {
    const other = new TypeError('other');
    const { stack } = other;
    const rethrow = () =>
      fromCaller(rethrow, () => {
        throw other;
      });

    expect(thrownBy(rethrow)).toMatchObject({ error: other });
    expect(other.stack).toBe(stack);
  });
});
