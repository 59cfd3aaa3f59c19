import { PassThrough } from 'node:stream';

import { type Transport, setHandler, ignore } from '../../lib/socket/transport';
import { type OnRead, fastReadFor, openFast, pauseDelivery } from '../../lib/socket/fast-read';
import { resolveOptions } from '../../lib/options/settings';
import { connectTo, Loopback } from '../kit/loopback';
import { until } from '../kit/until';

const byteAt = (index: number) => (index * 7 + (index >> 8)) & 0xff;

function bytes(from: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, offset) => byteAt(from + offset)));
}

interface Modules {
  fastReadFor: typeof fastReadFor;
  openFast: typeof openFast;
  setHandler: typeof setHandler;
}

/** A stream that is read past its machinery, fed by hand as a socket would be. */
class Feed {
  readonly transport: Transport;
  readonly delivered: Buffer[] = [];
  /** What is done with a chunk besides, while it is delivered. */
  onData: ((chunk: Buffer) => void) | undefined;
  readonly #setHandler: typeof setHandler;
  readonly #shared: OnRead;
  #onread!: OnRead;
  memory: Buffer;

  constructor(lends: boolean, modules: Modules = { fastReadFor, openFast, setHandler }, keeps = true) {
    this.#setHandler = modules.setHandler;
    const onread = modules.fastReadFor(resolveOptions({ port: 1, reuseReadBuffer: lends }).settings, {
      host: '127.0.0.1',
      port: 1,
    })!;
    this.#shared = onread;
    this.transport = modules.openFast(onread, (own) => {
      this.#onread = own;
      const stream = new PassThrough();
      return keeps ? Object.assign(stream, { [Symbol('kBufferCb')]: own.callback }) : stream;
    });
    this.memory = this.#onread.buffer();
  }

  /** Whether its functions are those of all sockets. */
  get isShared(): boolean {
    return this.#shared === this.#onread;
  }

  /** What a session does when it begins to read. */
  open(): this {
    this.#setHandler(this.transport, { onData: this.#deliver, onError: ignore, onClose: ignore });
    this.transport.on('data', this.#deliver);
    return this;
  }

  pause(): void {
    pauseDelivery(this.transport);
  }

  /** The kernel brings bytes, in `memory` or elsewhere. Returns whether it may bring more. */
  read(chunk: Buffer, memory = this.memory): boolean {
    chunk.copy(memory);
    // Where each has functions of its own, they are called without `this`, as in Bun.
    const { callback } = this.#onread;
    const readsOn = callback.call(this.isShared ? this.transport : (undefined as never), chunk.length, memory);
    this.memory = this.#onread.buffer();
    return readsOn;
  }

  readonly #deliver = (chunk: Buffer): void => {
    this.delivered.push(chunk);
    this.onData?.(chunk);
  };
}

/** The modules as a process loads them. */
function load(): Modules {
  const modules = {};
  jest.isolateModules(() => {
    Object.assign(modules, jest.requireActual('../../lib/socket/transport'));
    Object.assign(modules, jest.requireActual('../../lib/socket/fast-read'));
  });
  // `as`: these are in it now.
  return modules as Modules;
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe('chunks that are the listener’s', () => {
  it('stay as they were, whatever comes after', async () => {
    const feed = new Feed(false).open();
    await tick();
    const sizes = [1, 100, 65_536, 65_536, 40_000, 10, 32_768, 5_000, 65_536, 3];
    let from = 0;
    for (const size of sizes) {
      feed.read(bytes(from, size));
      from += size;
    }
    expect(feed.delivered.map(({ length }) => length)).toEqual(sizes);
    expect(Buffer.concat(feed.delivered).equals(bytes(0, from))).toBe(true);
  });

  it('are handed over uncopied from the second large one of a row on', async () => {
    const feed = new Feed(false).open();
    await tick();
    for (const size of [65_536, 65_536, 40_000, 100, 100]) feed.read(Buffer.alloc(size));
    const memory = feed.delivered.map(({ buffer }) => buffer.byteLength);
    // The third has the memory it was read into, all of it; small ones share Node's own pool.
    expect(memory.slice(0, 3)).toEqual([65_536, 65_536, 65_536]);
    expect(feed.delivered[2]!.length).toBe(40_000);
    expect(new Set(feed.delivered.slice(0, 3).map(({ buffer }) => buffer)).size).toBe(3);
  });
});

describe('the functions that sockets are read by', () => {
  it('are one pair for all sockets but the first, which shows that they are called as methods', () => {
    const modules = load();
    const shared = [false, false, true].map((lends) => new Feed(lends, modules).isShared);
    expect(shared).toEqual([false, true, true]);
  });

  it('are a pair for each once a socket has kept them, and not called them as methods', () => {
    const modules = load();
    new Feed(false, modules).open().read(Buffer.from('one'));
    expect(new Feed(false, modules).isShared).toBe(false);
  });

  it.each([true, false])('are a pair for each where a socket does not keep them (lent: %s)', async (lends) => {
    const modules = load();
    const [one, other] = [new Feed(lends, modules, false).open(), new Feed(lends, modules, false).open()];
    await tick();
    expect([one.isShared, other.isShared]).toEqual([false, false]);
    one.read(Buffer.from('one'));
    expect([one.delivered.map(String), other.delivered]).toEqual([['one'], []]);
    other.read(Buffer.from('other'));
    expect([one.delivered.length, other.delivered.map(String)]).toEqual([1, ['other']]);
  });

  it('give the memory for a large read to the socket that had one before, and not to one that its listener opens', async () => {
    const feed = new Feed(false).open();
    await tick();
    feed.read(Buffer.alloc(65_536));
    const own = feed.memory.buffer;
    let opened: Feed | undefined;
    feed.onData = () => (opened ??= new Feed(false));
    feed.read(Buffer.alloc(65_536));
    expect([opened!.memory.buffer, feed.memory.buffer]).not.toContain(own);
    expect(feed.memory.buffer).not.toBe(opened!.memory.buffer);
  });
});

test('a socket whose last read was not full has no memory of its own', async () => {
  const [feed, other] = [new Feed(false).open(), new Feed(false).open()];
  await tick();
  for (const size of [65_535, 65_536, 65_535, 65_536, 100]) feed.read(Buffer.alloc(size));
  expect(feed.memory).toBe(other.memory);
  feed.read(Buffer.alloc(65_536));
  expect(feed.memory).not.toBe(other.memory);
});

describe('chunks that are lent', () => {
  it('are views of one buffer of 256 KiB, for all sockets', async () => {
    const [one, other] = [new Feed(true).open(), new Feed(true).open()];
    expect(one.memory).toHaveLength(262_144);
    await tick();
    one.read(Buffer.from('one'));
    expect(one.delivered.map(String)).toEqual(['one']);
    other.read(Buffer.from('two'));
    expect(one.delivered[0]!.buffer).toBe(other.delivered[0]!.buffer);
    expect(one.delivered.map(String)).toEqual(['two']);
  });

  it('are copied where they have to wait', async () => {
    const feed = new Feed(true).open();
    await tick();
    feed.pause();
    feed.read(Buffer.from('one'));
    feed.read(Buffer.from('two'));
    expect(feed.delivered).toEqual([]);
    feed.transport.resume();
    await tick();
    expect(feed.delivered.map(String)).toEqual(['one', 'two']);
  });
});

describe('memory that is detached', () => {
  afterEach(() => jest.dontMock('node:worker_threads'));

  it.each([true, false])('is replaced before the next read of any socket (lent: %s)', async (lends) => {
    // A runtime that cannot keep memory from being detached.
    jest.doMock('node:worker_threads', () => ({
      markAsUntransferable: () => {
        throw new Error('not implemented');
      },
    }));
    const modules = load();
    const [feed, other] = [new Feed(lends, modules).open(), new Feed(lends, modules).open()];
    await tick();
    feed.read(Buffer.from('one'));
    const { memory } = feed;
    structuredClone(memory.buffer, { transfer: [memory.buffer as ArrayBuffer] });
    expect([memory.byteLength, other.memory.byteLength]).toEqual([0, 0]);
    // As in workerd, where the bytes that a socket reads into such memory come in memory of their own.
    feed.read(Buffer.from('two'), Buffer.alloc(65_536));
    other.read(Buffer.from('three'), Buffer.alloc(65_536));
    expect(feed.delivered.at(-1)!.toString()).toBe('two');
    expect(other.delivered.at(-1)!.toString()).toBe('three');
    expect([feed.memory.byteLength, other.memory.byteLength]).toEqual(lends ? [262_144, 262_144] : [65_536, 65_536]);
    feed.read(Buffer.from('four'));
    other.read(Buffer.from('five'));
    expect(feed.delivered).toHaveLength(3);
    expect(other.delivered.at(-1)!.toString()).toBe('five');
  });
});

describe.each([true, false])('what comes while the stream is paused (lent: %s)', (lends) => {
  it('waits for a session to begin', async () => {
    const feed = new Feed(lends);
    feed.read(Buffer.from('early'));
    feed.open();
    await tick();
    expect(feed.delivered.map(String)).toEqual(['early']);
  });

  it('is never overtaken by what comes later', async () => {
    const feed = new Feed(lends).open();
    await tick();
    feed.pause();
    feed.read(Buffer.from('a'));
    feed.transport.resume();
    // It flows again from the next tick on: until then what is kept comes first.
    feed.read(Buffer.from('b'));
    await tick();
    feed.read(Buffer.from('c'));
    expect(Buffer.concat(feed.delivered).toString()).toBe('abc');
  });

  it('is kept up to the stream’s own mark: then the socket is to stop', async () => {
    const feed = new Feed(lends).open();
    await tick();
    feed.pause();
    const half = Buffer.alloc(feed.transport.readableHighWaterMark / 2);
    expect([feed.read(half), feed.read(half)]).toEqual([true, false]);
  });

  it('holds back the end behind it', async () => {
    const feed = new Feed(lends).open();
    const ended = jest.fn();
    feed.transport.on('end', ended);
    await tick();
    feed.pause();
    feed.read(Buffer.from('last words'));
    feed.transport.push(null);
    await tick();
    expect(ended).not.toHaveBeenCalled();
    feed.transport.resume();
    await tick();
    expect(feed.delivered.map(String)).toEqual(['last words']);
    expect(ended).toHaveBeenCalledTimes(1);
  });
});

describe('fastReadFor()', () => {
  const target = { host: '127.0.0.1', port: 1 };

  it('is for sockets that nothing needs as a stream, and lends where it may', () => {
    const keeping = fastReadFor(resolveOptions({ port: 1 }).settings, target);
    const lending = fastReadFor(resolveOptions({ port: 1, reuseReadBuffer: true }).settings, target);
    expect([keeping, lending]).not.toContain(undefined);
    expect(lending).not.toBe(keeping);
    expect(fastReadFor(resolveOptions({ path: '/tmp/a' }).settings, { path: '/tmp/a' })).toBe(keeping);
  });

  it.each([
    ['TLS', {}, { ...target, tls: {} }],
    ['a handshake', { handshake: () => Promise.resolve() }, target],
    ['a decoder', { decoder: () => new PassThrough() }, target],
    ['a dial of the application’s', { dial: () => new PassThrough() }, target],
  ])('%s needs the stream', (_, options, place) => {
    expect(fastReadFor(resolveOptions({ port: 1, ...options }).settings, place)).toBeUndefined();
  });
});

test('over a real socket every byte arrives, and stays as it was', async () => {
  const size = 3_000_000;
  const all = bytes(0, size);
  const server = await Loopback.start({
    onSession: (socket) => {
      // In pieces of all sizes, so that reads are now small and now as large as can be.
      for (let from = 0, step = 1; from < size; from += step, step = (step * 3) % 100_003) {
        socket.write(all.subarray(from, Math.min(from + step, size)));
      }
    },
  });
  const connection = connectTo(server);
  const chunks: Buffer[] = [];
  connection.on('data', (chunk) => chunks.push(chunk));
  await until(() => connection.stats.bytesReceived === size);
  expect(Buffer.concat(chunks).equals(all)).toBe(true);
});

test('a listener cannot give away the memory that its socket reads into, and what comes next arrives', async () => {
  const server = await Loopback.start({ echo: true });
  const connection = connectTo(server, { reuseReadBuffer: true });
  const heard: string[] = [];
  const outcomes: string[] = [];
  connection.on('data', (chunk) => {
    heard.push(chunk.toString());
    try {
      // Node 20 passes over a mark in the list, and copies; later versions throw.
      structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] });
      outcomes.push('copied');
    } catch (error) {
      outcomes.push((error as Error).name);
    }
    expect(chunk.toString()).toBe(heard.at(-1));
  });
  for (const text of ['one', 'two', 'three']) {
    connection.write(text);
    await until(() => heard.at(-1) === text);
  }
  expect(heard).toEqual(['one', 'two', 'three']);
  expect(new Set(outcomes)).toEqual(new Set([process.version.startsWith('v20.') ? 'copied' : 'DataCloneError']));
});
