import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

import { Deadline, setRef } from '../../lib/timers/deadline';
import { settle, useFakeClock } from '../kit/scripted';

afterEach(() => jest.useRealTimers());

describe('Deadline', () => {
  beforeEach(useFakeClock);

  it('expires once, when its time is over and not before', async () => {
    const expire = jest.fn();
    new Deadline(100, true, expire);
    jest.advanceTimersByTime(99);
    await settle();
    expect(expire).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    await settle();
    expect(expire).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(1_000);
    await settle();
    expect(expire).toHaveBeenCalledTimes(1);
  });

  it('waits for what has arrived to be read before it expires', async () => {
    const order: string[] = [];
    new Deadline(100, true, () => order.push('expired'));
    jest.advanceTimersByTime(100);
    process.nextTick(() => order.push('tick'));
    order.push('due');
    await settle();
    expect(order).toEqual(['due', 'tick', 'expired']);
  });

  it.each<[string, number]>([
    ['before it is due', 50],
    ['when it is due and what has arrived is being read', 100],
  ])('does not expire when it is cleared %s', async (_title, elapsed) => {
    const expire = jest.fn();
    const deadline = new Deadline(100, true, expire);
    jest.advanceTimersByTime(elapsed);
    deadline.clear();
    jest.advanceTimersByTime(1_000);
    await settle();
    expect(expire).not.toHaveBeenCalled();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('may be cleared again and again, and from within', async () => {
    const deadline = new Deadline(100, true, () => deadline.clear());
    jest.advanceTimersByTime(100);
    await settle();
    deadline.clear();
    deadline.clear();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps the process alive, or does not', () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const [held, free] = [true, false].map((each) => new Deadline(100, each, () => undefined));
    const holding = () => timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    expect(holding()).toEqual([true, false]);
    held!.setRef(false);
    free!.setRef(true);
    expect(holding()).toEqual([false, true]);
    timers.mockRestore();
  });

  it('takes setRef() when it is over', async () => {
    const expire = jest.fn();
    const deadline = new Deadline(100, true, expire);
    jest.advanceTimersByTime(100);
    deadline.setRef(false);
    deadline.setRef(true);
    await settle();
    deadline.setRef(false);
    deadline.setRef(true);
    expect(expire).toHaveBeenCalledTimes(1);
  });
});

describe('in a process that was blocked beyond the deadline', () => {
  let client: Socket;
  let peer: Socket;

  beforeEach(async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [peer] = await accepted;
    if (client.connecting) await once(client, 'connect');
    server.close();
  });

  afterEach(() => {
    client.destroy();
    peer.destroy();
  });

  /** Holds up everything, as a long computation or a SIGSTOP does. */
  function block(milliseconds: number): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  }

  it('what has arrived meanwhile comes first, and can clear it', async () => {
    // From here on the event loop comes first by its timers, and by its sockets only then.
    await new Promise((resolve) => setImmediate(resolve));
    const expire = jest.fn();
    const deadline = new Deadline(5, true, expire);
    client.once('data', () => deadline.clear());
    // The kernel hands it over at once; we read it late.
    peer.write('here I am');
    block(20);
    await once(client, 'data');
    await settle();
    expect(expire).not.toHaveBeenCalled();
  });

  it('nothing that has arrived is nothing, and it expires', async () => {
    block(20);
    await new Promise<void>((resolve) => new Deadline(5, true, resolve));
    expect(client.bytesRead).toBe(0);
  });
});

describe('setRef()', () => {
  it('calls ref() or unref()', () => {
    const resource = { ref: jest.fn(), unref: jest.fn() };
    setRef(true, resource);
    expect([resource.ref.mock.calls.length, resource.unref.mock.calls.length]).toEqual([1, 0]);
    setRef(false, resource);
    expect([resource.ref.mock.calls.length, resource.unref.mock.calls.length]).toEqual([1, 1]);
  });

  it('takes a stream that has neither', () => {
    expect(() => {
      setRef(true, {});
      setRef(false, {});
    }).not.toThrow();
  });
});
