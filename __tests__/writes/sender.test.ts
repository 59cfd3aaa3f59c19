import { type Socket, connect } from 'node:net';
import { Duplex, type DuplexOptions } from 'node:stream';

import { Sender } from '../../lib/writes/sender';
import type { WriteCallback } from '../../lib/writes/write';
import { connectTo, Loopback, track } from '../kit/loopback';
import { until } from '../kit/until';

/** A transport that shows each system call it would make: a write of its own, or several in one piece. */
class Wire extends Duplex {
  readonly calls: string[][] = [];
  readonly chunks: Buffer[] = [];
  /** While set, what was handed over is not taken. */
  stalled = false;
  #done: (() => void) | undefined;

  constructor(options: DuplexOptions = {}) {
    super({ read: () => undefined, ...options });
    this.on('error', () => undefined);
  }

  accept(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#call([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#call(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  #call(chunks: Buffer[], done: () => void): void {
    this.calls.push(chunks.map(String));
    this.chunks.push(...chunks);
    if (this.stalled) this.#done = done;
    else done();
  }
}

/** The end of this tick, and of what it put off. */
async function tick(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Calls `task` in so many ticks. */
async function inTicks(count: number, task: (index: number) => void): Promise<void> {
  for (let index = 0; index < count; index++) {
    await new Promise<void>((resolve) =>
      setImmediate(() => {
        task(index);
        resolve();
      }),
    );
  }
}

interface Bench {
  readonly wire: Wire;
  readonly sender: Sender;
  readonly confirmed: Confirmed[];
}

interface Confirmed {
  readonly writes: number;
  readonly bytes: number;
  readonly callbacks: readonly WriteCallback[] | undefined;
}

function start(isOwn = true, wire = new Wire()): Bench {
  const confirmed: Confirmed[] = [];
  const sender = new Sender(wire, isOwn, (writes, bytes, callbacks) => {
    confirmed.push({ writes, bytes, callbacks });
  });
  return { wire, sender, confirmed };
}

function sendAll(sender: Sender, ...texts: string[]): boolean {
  return texts.map((text) => sender.send(Buffer.from(text), undefined)).at(-1)!;
}

describe('a write of several parts', () => {
  it('leaves in one system call behind what came before, uncopied, and is confirmed once', async () => {
    const { wire, sender, confirmed } = start();
    const called = () => undefined;
    sendAll(sender, 'a', 'b');
    sender.flush();
    const parts = [Buffer.from('c'), Buffer.from('dd')];
    expect(sender.sendParts(parts, 3, called)).toBe(true);
    sendAll(sender, 'e');
    await tick();
    expect(wire.calls).toEqual([['a'], ['b'], ['c', 'dd'], ['e']]);
    expect(wire.chunks[2]!.buffer).toBe(parts[0]!.buffer);
    expect(confirmed[2]).toEqual({ writes: 1, bytes: 3, callbacks: [called] });
    expect([sender.writes, sender.bytes]).toEqual([0, 0]);
  });

  it('is one uncertain write where it was not confirmed', () => {
    const { wire, sender } = start(false);
    wire.stalled = true;
    sender.sendParts([Buffer.from('a'), Buffer.from('b')], 2, undefined);
    expect(sender.takeAll()).toMatchObject({ writes: 1, bytes: 2 });
  });
});

describe('a transport that breaks while it is handed what a tick has brought so far', () => {
  class Fragile extends Wire {
    override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
      super._writev(chunks, done);
      this.destroy();
    }

    override _write(chunk: Buffer, _encoding: string, done: () => void): void {
      super._write(chunk, _encoding, done);
      this.destroy();
    }
  }

  it.each([100, 512])('was handed all that it took: writes of %i bytes', (size) => {
    const { wire, sender } = start(true, new Fragile());
    sender.expectMore();
    let sent = 0;
    while (wire.writable) {
      sender.send(Buffer.alloc(size), undefined);
      sent += 1;
    }
    expect(wire.chunks.reduce((sum, { length }) => sum + length, 0)).toBe(sent * size);
    expect(sender.takeAll()).toMatchObject({ writes: sent });
  });
});

describe('a write alone in its tick', () => {
  it('goes out at once', async () => {
    const { wire, sender } = start();
    for (const text of ['a', 'b', 'c']) {
      sendAll(sender, text);
      expect(wire.calls.at(-1)).toEqual([text]);
      await tick();
    }
    expect(wire.calls).toEqual([['a'], ['b'], ['c']]);
  });

  it('waits for the end of its tick when the tick before brought several', async () => {
    const { wire, sender } = start();
    sendAll(sender, 'a', 'b');
    await tick();
    sendAll(sender, 'c');
    expect(wire.calls).toEqual([['a'], ['b']]);
    await tick();
    sendAll(sender, 'd');
    expect(wire.calls).toEqual([['a'], ['b'], ['c'], ['d']]);
  });

  it('is not held up when several were announced and none came', async () => {
    const { wire, sender } = start();
    sender.expectMore();
    sendAll(sender, 'a');
    expect(wire.calls).toEqual([]);
    await tick();
    sendAll(sender, 'b');
    expect(wire.calls).toEqual([['a'], ['b']]);
  });
});

describe('a write alone in its tick, without a callback', () => {
  it('is confirmed as soon as the kernel has taken it', async () => {
    const { wire, sender, confirmed } = start();
    await inTicks(3, (index) => {
      expect(sender.send(Buffer.from('abc'.slice(index)), undefined)).toBe(true);
      expect(wire.calls).toHaveLength(index + 1);
      expect(confirmed).toHaveLength(index + 1);
    });
    expect(wire.calls).toEqual([['abc'], ['bc'], ['c']]);
    expect(confirmed).toMatchObject([3, 2, 1].map((bytes) => ({ writes: 1, bytes, callbacks: undefined })));
    expect([sender.writes, sender.bytes]).toEqual([0, 0]);
  });

  it('is confirmed when the kernel takes it, where that is later', async () => {
    const { wire, sender, confirmed } = start();
    wire.stalled = true;
    await inTicks(1, () => sendAll(sender, 'abc'));
    await tick();
    expect([sender.writes, sender.bytes]).toEqual([1, 3]);
    expect(confirmed).toEqual([]);
    wire.stalled = false;
    wire.accept();
    await tick();
    expect(confirmed).toMatchObject([{ writes: 1, bytes: 3 }]);
    expect(Buffer.concat(wire.chunks).toString()).toBe('abc');
    expect([sender.writes, sender.bytes]).toEqual([0, 0]);
  });

  it('stays unconfirmed where the transport breaks over it', async () => {
    class Broken extends Wire {
      override _write(_chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
        done(new Error('EPIPE'));
      }
    }
    const { sender, confirmed } = start(true, new Broken());
    let hasRoom: boolean | undefined;
    await inTicks(1, () => (hasRoom = sendAll(sender, 'abc')));
    await tick();
    expect(hasRoom).toBe(false);
    expect(confirmed).toEqual([]);
    expect(sender.takeAll()).toMatchObject({ writes: 1, bytes: 3 });
  });

  it('stays unconfirmed where the transport has ended already', async () => {
    const { wire, sender, confirmed } = start();
    wire.end();
    let hasRoom: boolean | undefined;
    await inTicks(1, () => (hasRoom = sendAll(sender, 'abc')));
    expect(hasRoom).toBe(false);
    expect(confirmed).toEqual([]);
    expect(sender.takeAll()).toMatchObject({ writes: 1, bytes: 3 });
  });

  it.each<[string, () => Bench]>([
    ['a stream from a custom `dial`', () => start(false)],
    ['TLS', () => start(true, Object.assign(new Wire(), { encrypted: true }))],
  ])('is confirmed by the callback of %s, which may hold bytes that it no longer counts', async (_title, open) => {
    const { sender, confirmed } = open();
    await inTicks(2, (index) => {
      sendAll(sender, 'abc');
      expect(confirmed).toHaveLength(index);
    });
    await tick();
    expect(confirmed).toMatchObject([{ bytes: 3 }, { bytes: 3 }]);
  });

  it('is confirmed at once where the stream never has room, too', async () => {
    const { sender, confirmed } = start(true, new Wire({ writableHighWaterMark: 0 }));
    await inTicks(2, (index) => {
      expect(sendAll(sender, 'abc')).toBe(false);
      expect(confirmed).toHaveLength(index + 1);
    });
  });

  it('goes out at once from an interval, a promise or an immediate alike', async () => {
    const { wire, sender } = start();
    await new Promise<void>((resolve) => {
      const interval = setInterval(() => {
        sendAll(sender, 'a');
        if (wire.calls.length < 3) return;
        clearInterval(interval);
        resolve();
      }, 1);
    });
    expect(wire.calls).toEqual([['a'], ['a'], ['a']]);
    for (let count = 4; count < 7; count++) {
      await tick();
      sendAll(sender, 'a');
      expect(wire.calls).toHaveLength(count);
    }
  });

  it('does not overtake what waits for the end of the tick', async () => {
    const { wire, sender } = start();
    await inTicks(1, () => {
      process.nextTick(() => sendAll(sender, 'c'));
      sendAll(sender, 'a', 'b');
    });
    await tick();
    expect(wire.calls).toEqual([['a'], ['bc']]);
  });
});

describe('writes of one tick', () => {
  it('leave in one call, behind the first', async () => {
    const { wire, sender } = start();
    sendAll(sender, 'a', 'b', 'c', 'd');
    expect(wire.calls).toEqual([['a']]);
    await tick();
    expect(wire.calls).toEqual([['a'], ['bcd']]);
    sendAll(sender, 'e', 'f', 'g');
    await tick();
    expect(wire.calls).toEqual([['a'], ['bcd'], ['efg']]);
  });

  it('are gathered behind the sixteenth that was alone, where each comes in a promise of its own', async () => {
    const { wire, sender } = start();
    await tick();
    for (let index = 0; index < 40; index++) {
      sendAll(sender, 'x');
      await Promise.resolve();
    }
    await tick();
    expect(wire.calls.map(([piece]) => piece!.length)).toEqual([...Array.from({ length: 16 }, () => 1), 24]);
    for (let index = 0; index < 40; index++) {
      sendAll(sender, 'x');
      await Promise.resolve();
    }
    await tick();
    expect(wire.calls.slice(17).map(([piece]) => piece!.length)).toEqual([40]);
  });

  it('leave before any other event, even those of promises and ticks', async () => {
    const { wire, sender } = start();
    sender.expectMore();
    await Promise.resolve();
    sendAll(sender, 'a', 'b');
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(wire.calls).toEqual([['ab']]);
  });

  it('are not copied where they are large, and keep their order', async () => {
    const { wire, sender } = start();
    const large = Buffer.alloc(2_000, 'L');
    sender.expectMore();
    sendAll(sender, 'a', 'b');
    sender.send(large, undefined);
    sendAll(sender, 'c', 'd');
    await tick();
    expect(wire.calls).toEqual([['ab', large.toString(), 'cd']]);
    expect(wire.chunks[1]).toBe(large);
  });

  it('share one callback of the transport where they are large, with a callback for each', async () => {
    const { wire, sender, confirmed } = start();
    const callbacks = [1, 2, 3].map(() => () => undefined);
    const large = Buffer.alloc(2_000, 'L');
    sender.expectMore();
    for (const callback of callbacks) sender.send(large, callback);
    expect([sender.writes, sender.bytes]).toEqual([3, 6_000]);
    await tick();
    expect(wire.calls).toHaveLength(1);
    expect(confirmed).toMatchObject([{ writes: 3, bytes: 6_000, callbacks }]);
    expect([sender.writes, sender.bytes]).toEqual([0, 0]);
  });

  it('keep their order and their callbacks where small and large ones alternate', async () => {
    const { wire, sender, confirmed } = start();
    const large = 'L'.repeat(600);
    const called: string[] = [];
    sender.expectMore();
    for (const text of ['a', large, 'b', large, large, 'c'])
      sender.send(Buffer.from(text), () => called.push(text[0]!));
    await tick();
    expect(Buffer.concat(wire.chunks).toString()).toBe(['a', large, 'b', large, large, 'c'].join(''));
    for (const { callbacks } of confirmed) for (const callback of callbacks!) callback();
    expect(called).toEqual(['a', 'L', 'b', 'L', 'L', 'c']);
    expect(sender.takeAll()).toMatchObject({ writes: 0, bytes: 0 });
  });

  it('stay unconfirmed, large ones too, where the transport breaks before it has taken them', async () => {
    const { wire, sender, confirmed } = start();
    const large = Buffer.alloc(2_000, 'L');
    sender.expectMore();
    for (let index = 0; index < 3; index++) sender.send(large, undefined);
    wire.destroy();
    await tick();
    expect(confirmed).toEqual([]);
    expect(sender.takeAll()).toMatchObject({ writes: 3, bytes: 6_000 });
  });

  it('are handed over as they are where the stream may keep them, and in one call all the same', async () => {
    const { wire, sender } = start(false);
    const chunks = ['a', 'b', 'c'].map((text) => Buffer.from(text));
    sender.expectMore();
    for (const chunk of chunks) sender.send(chunk, undefined);
    await tick();
    expect(wire.calls).toEqual([['a', 'b', 'c']]);
    for (const [index, chunk] of chunks.entries()) expect(wire.chunks[index]).toBe(chunk);
  });

  it('fill one piece of memory after another', async () => {
    const { wire, sender } = start();
    sender.expectMore();
    const text = 'x'.repeat(500);
    for (let index = 0; index < 300; index++) sender.send(Buffer.from(text), undefined);
    await tick();
    expect(wire.calls.map(([piece]) => piece!.length)).toEqual([65_500, 65_500, 19_000]);
  });

  it('leave as soon as they are 1 MiB', async () => {
    const { wire, sender } = start();
    const large = 'L'.repeat(600_000);
    sender.expectMore();
    sendAll(sender, 'a', large);
    expect(wire.calls).toEqual([]);
    sendAll(sender, large);
    expect(wire.calls.map((call) => call.map(({ length }) => length))).toEqual([[1, 600_000, 600_000]]);
    expect(sender.backlog).toBe(0);
    sendAll(sender, 'b');
    await tick();
    expect(wire.calls.slice(1)).toEqual([['b']]);
  });

  it('leave at once when asked to', () => {
    const { wire, sender } = start();
    sender.expectMore();
    sendAll(sender, 'a', 'b');
    sender.flush();
    expect(wire.calls).toEqual([['ab']]);
  });
});

describe('behind a slow transport', () => {
  it('writes are left to the stream, which hands them over together', async () => {
    const { wire, sender } = start();
    wire.stalled = true;
    sendAll(sender, 'a');
    await tick();
    sendAll(sender, 'b', 'c');
    await tick();
    sendAll(sender, 'd');
    await tick();
    wire.stalled = false;
    wire.accept();
    await tick();
    // The callback of the empty one confirms the first, which was written without.
    expect(wire.calls).toEqual([['a'], ['', 'b', 'c', 'd']]);
  });

  it('the memory of what is under way is left alone', async () => {
    const { wire, sender } = start();
    wire.stalled = true;
    sender.expectMore();
    sendAll(sender, 'first', 'second');
    await tick();
    const under = wire.chunks[0]!;
    const other = start();
    other.sender.expectMore();
    sendAll(other.sender, 'XXXXXXXXXXXXXX');
    await tick();
    expect(under.toString()).toBe('firstsecond');
  });

  it('says that there is no room from the stream’s own mark on, gathered bytes included', () => {
    const { wire, sender } = start();
    // What does not fit in a write buffer is handed over meanwhile.
    wire.stalled = true;
    sender.expectMore();
    const mark = wire.writableHighWaterMark;
    const chunk = Buffer.alloc(512);
    let room = true;
    let sent = 0;
    while (room) {
      room = sender.send(chunk, undefined);
      sent += chunk.length;
    }
    expect(sent).toBe(mark);
    expect(sender.backlog).toBe(mark);
  });
});

describe('what was handed over', () => {
  it('is confirmed in order, each batch once, with its callbacks', async () => {
    const { sender, confirmed } = start();
    const callbacks = [1, 2, 3].map(() => jest.fn());
    sender.send(Buffer.from('a'), callbacks[0]);
    sender.send(Buffer.from('bb'), undefined);
    sender.send(Buffer.from('cc'), callbacks[1]);
    sender.send(Buffer.alloc(2_000), callbacks[2]);
    expect([sender.writes, sender.bytes]).toEqual([4, 2_005]);
    await tick();
    expect(confirmed.map(({ writes, bytes, callbacks: given }) => [writes, bytes, given])).toEqual([
      [1, 1, [callbacks[0]]],
      [3, 2_004, [callbacks[1], callbacks[2]]],
    ]);
    expect([sender.writes, sender.bytes, sender.backlog]).toEqual([0, 0, 0]);
  });

  it('goes out before it is taken back, and is not confirmed after that', () => {
    const { wire, sender, confirmed } = start();
    wire.stalled = true;
    sender.expectMore();
    sendAll(sender, 'a', 'b');
    const lost = sender.takeAll();
    expect(wire.calls).toEqual([['ab']]);
    expect(lost).toMatchObject({ writes: 2, bytes: 2 });
    wire.accept();
    expect(confirmed).toEqual([]);
    expect([sender.writes, sender.bytes]).toEqual([0, 0]);
  });

  it('is not written to a transport that has ended in the same tick', async () => {
    const { wire, sender } = start();
    const errors = jest.fn();
    wire.on('error', errors);
    sender.expectMore();
    sendAll(sender, 'a', 'b');
    wire.end();
    await tick();
    expect([wire.calls, errors.mock.calls]).toEqual([[], []]);
    expect(sender.takeAll()).toMatchObject({ writes: 2 });
  });
});

describe('over real sockets', () => {
  /** What connection `id` sends as its `index`-th byte. */
  const byteAt = (id: number, index: number) => (id * 31 + index * 7 + (index >> 8)) & 0xff;

  test('nothing is lost, torn or mixed up among connections that share memory, whatever the sizes', async () => {
    const heard = new Map<Socket, { id: number; bytes: number }>();
    let wrong = 0;
    const server = await Loopback.start({
      onSession: (socket) => {
        // The first byte names the connection.
        socket.on('data', (chunk) => {
          let at = heard.get(socket);
          for (const byte of chunk) {
            if (at === undefined) heard.set(socket, (at = { id: byte, bytes: 0 }));
            else if (byte !== byteAt(at.id, at.bytes++)) wrong++;
          }
          // Some are slow: their sockets fill up, and pin what they were handed.
          if (at !== undefined && at.id % 3 === 0) {
            socket.pause();
            setImmediate(() => socket.resume());
          }
        });
      },
    });
    const ids = Array.from({ length: 20 }, (_, id) => id);
    const connections = ids.map(() => connectTo(server, { queue: { maxBytes: 64 * 2 ** 20 } }));
    await Promise.all(connections.map((connection) => connection.whenOpen()));
    for (const [id, connection] of connections.entries()) connection.write(Buffer.from([id]));
    const sent = ids.map(() => 0);
    let confirmed = 0;
    let accepted = 0;
    // A fixed course of sizes: small, empty, large, and just around what is copied.
    const sizes = [1, 64, 0, 511, 512, 513, 7, 20_000, 300, 2, 70_000, 1_500];
    for (let round = 0; round < 40; round++) {
      for (const [id, connection] of connections.entries()) {
        for (let write = 0; write < (round + id) % 9; write++) {
          const size = sizes[(round * 5 + id * 3 + write) % sizes.length]!;
          const from = sent[id]!;
          const chunk = Buffer.alloc(size);
          for (let offset = 0; offset < size; offset++) chunk[offset] = byteAt(id, from + offset);
          accepted += 1;
          connection.write(chunk, (error) => {
            confirmed += 1;
            // Its memory is the writer's again: whatever is still read from it would show.
            chunk.fill(0xee);
            expect(error ?? undefined).toBeUndefined();
          });
          sent[id] = from + size;
        }
      }
      if (round % 4 === 0) await tick();
    }
    await until(() => confirmed === accepted);
    await until(() => [...heard.values()].every(({ id, bytes }) => bytes === sent[id]) && heard.size === ids.length);
    expect(wrong).toBe(0);
    for (const connection of connections) expect(connection.stats.writes.queued).toEqual({ writes: 0, bytes: 0 });
  });

  test('lone writes are confirmed at once, and what the kernel takes later is confirmed then', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.pause() });
    const connection = connectTo(server, { queue: { maxBytes: 64 * 2 ** 20 } });
    await connection.whenOpen();
    await inTicks(20, () => connection.write('a'));
    expect(connection.stats.writes).toMatchObject({ confirmed: { writes: 20 }, queued: { writes: 0 } });
    const much = Buffer.alloc(2 ** 20);
    const isFull = () => connection.stats.writes.queued.writes > 0;
    while (!isFull()) await inTicks(1, () => connection.write(much));
    const drained = new Promise<void>((resolve) => connection.once('drain', resolve));
    for (const socket of server.sockets) socket.resume();
    await drained;
    expect(connection.stats.writes.queued).toEqual({ writes: 0, bytes: 0 });
  });

  test('a thousand writes of a tick are one write of the socket', async () => {
    const server = await Loopback.start();
    const socket = track(connect(server.port, '127.0.0.1'));
    await new Promise((resolve) => socket.once('connect', resolve));
    const write = jest.spyOn(socket, 'write');
    const sender = new Sender(socket, true, () => undefined);
    sender.expectMore();
    for (let index = 0; index < 1_000; index++) sender.send(Buffer.alloc(64), undefined);
    await tick();
    expect(write).toHaveBeenCalledTimes(1);
    await until(() => server.receivedBytes === 64_000);
  });
});
