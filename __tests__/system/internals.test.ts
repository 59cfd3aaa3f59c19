import { type AddressInfo, Socket, type TcpSocketConnectOpts, connect, createServer } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { TLSSocket, connect as connectTls, createSecureContext, createServer as createTlsServer } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { markAsUntransferable } from 'node:worker_threads';

import { EventEmitter } from 'eventemitter3';

import { frozen } from '../../lib/options/checks';
import { resolveOptions } from '../../lib/options/settings';
import { kernelQueue } from '../../lib/socket/transport';
import { loadCertificates } from '../kit/certificates';
import { pair as memoryPair, track } from '../kit/loopback';
import { until } from '../kit/until';

// What the library relies on beyond what Node and eventemitter3 document. When one of these fails with a new version,
// the comment at the named place says what it is needed for, and what the library would do without it.

type OnRead = NonNullable<TcpSocketConnectOpts['onread']>;

/** A socket and its peer's. */
async function pair(onread?: OnRead, path?: string): Promise<{ socket: Socket; peer: Socket }> {
  const server = createServer().listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path });
  await new Promise((resolve) => server.once('listening', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  // `as`: a server that listens on a port has such an address.
  const socket = track(
    path === undefined
      ? connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ...(onread && { onread }) })
      : connect({ path }),
  );
  socket.on('error', () => undefined);
  const peer = track(await accepted);
  if (socket.connecting) await new Promise((resolve) => socket.once('connect', resolve));
  server.close();
  return { socket, peer };
}

/** All that `peer` receives from now on. */
function collect(peer: Socket): Buffer[] {
  const chunks: Buffer[] = [];
  peer.on('data', (chunk) => chunks.push(chunk));
  return chunks;
}

describe('`writableLength === 0` says that the kernel has it all (lib/writes/sender.ts)', () => {
  it.each<[string, (socket: Socket, chunks: readonly Buffer[]) => void]>([
    ['one write', (socket, [chunk]) => socket.write(chunk!)],
    [
      'several in a cork',
      (socket, chunks) => {
        socket.cork();
        for (const chunk of chunks) socket.write(chunk);
        socket.uncork();
      },
    ],
  ])('of %s: its memory is free as soon as `write()` returns', async (_title, write) => {
    const { socket, peer } = await pair();
    const received = collect(peer);
    const memory = Buffer.from('one, two');
    const expected = memory.toString();
    write(socket, _title === 'one write' ? [memory] : [memory.subarray(0, 5), memory.subarray(5)]);
    expect(socket.writableLength).toBe(0);
    memory.fill('X');
    await until(() => Buffer.concat(received).length === expected.length);
    expect(Buffer.concat(received).toString()).toBe(expected);
  });

  it('and is more while the socket connects, and while the kernel has no room', async () => {
    const { socket, peer } = await pair();
    peer.pause();
    const chunk = Buffer.alloc(1_048_576, 'a');
    let written = 0;
    while (socket.writableLength === 0) {
      socket.write(chunk);
      written += chunk.length;
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(socket.writableLength).toBeGreaterThan(0);
    let received = 0;
    peer.on('data', ({ length }) => (received += length)).resume();
    await until(() => received === written);
    await until(() => socket.writableLength === 0);

    const connecting = track(connect({ port: 1, host: '127.0.0.1' }));
    connecting.on('error', () => undefined);
    connecting.write('early');
    expect(connecting.writableLength).toBe(5);
  });
});

describe('`_handle` of a socket (`kernelQueue` in lib/socket/transport.ts)', () => {
  /** A client and its peer over each kind of socket. */
  const kinds: Record<string, () => Promise<{ socket: Socket; peer: Socket }>> = {
    TCP: () => pair(),
    TLS: () => securePair((port) => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })),
    'TLS over a socket': () =>
      securePair((port) => connectTls({ socket: connect(port, '127.0.0.1'), rejectUnauthorized: false })),
    ...(process.platform === 'linux' && { Unix: () => pair(undefined, `\0internals-${process.pid}`) }),
  };

  async function securePair(open: (port: number) => Socket): Promise<{ socket: Socket; peer: Socket }> {
    const { cert, key } = (await loadCertificates()).server;
    const server = createTlsServer({ cert, key }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const accepted = new Promise<Socket>((resolve) => server.once('secureConnection', resolve));
    const socket = track(open((server.address() as AddressInfo).port));
    socket.on('error', () => undefined);
    const secured = new Promise((resolve) => socket.once('secureConnect', resolve));
    const peer = track(await accepted);
    await secured;
    server.close();
    return { socket, peer };
  }

  it.each(Object.keys(kinds))('shows what the kernel has taken, in steps within one write (%s)', async (kind) => {
    const { socket, peer } = await kinds[kind]!();
    const queue = () => kernelQueue(socket)!;
    peer.pause();
    socket.write('small');
    await until(() => socket.writableLength === 0);
    expect(queue().waiting).toBe(0);
    const before = queue().taken;

    const confirmed = jest.fn();
    const size = 16_000_000;
    socket.write(Buffer.alloc(size), confirmed);
    const { waiting, taken } = queue();
    expect(waiting).toBeGreaterThan(0);
    expect(taken + waiting - before).toBeGreaterThanOrEqual(size);

    // While the peer does not read, the kernel takes no more.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const full = queue();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(queue()).toEqual(full);

    let received = 0;
    peer.on('data', ({ length }) => {
      received += length;
      if (received >= size / 2) peer.pause();
    });
    peer.resume();
    await until(() => queue().taken > full.taken);
    expect(confirmed).not.toHaveBeenCalled();
    peer.removeAllListeners('data').resume();
    await until(() => confirmed.mock.calls.length === 1);
    expect(queue()).toEqual({ waiting: 0, taken: taken + waiting });
    socket.destroy();
    expect(kernelQueue(socket)).toBeUndefined();
  });

  it('shows nothing of a stream that is no socket, or of TLS over one', () => {
    const [near] = memoryPair();
    expect(kernelQueue(near)).toBeUndefined();
    const secure = track(connectTls({ socket: near }));
    secure.on('error', () => undefined);
    expect(kernelQueue(secure)).toBeUndefined();
  });
});

describe('`onread` of a socket (lib/socket/fast-read.ts)', () => {
  it('asks for the next buffer right after each read, and calls back with the very buffer that it got', async () => {
    const calls: string[] = [];
    const buffers: Buffer[] = [];
    const { peer } = await pair({
      buffer: () => {
        calls.push('buffer');
        buffers.push(Buffer.alloc(16));
        return buffers.at(-1)!;
      },
      callback: (size, buffer) => {
        calls.push(Buffer.from(buffer.buffer, buffer.byteOffset, size).toString());
        expect(buffer).toBe(buffers.at(-1));
        void Promise.resolve().then(() => calls.push('microtask'));
        return true;
      },
    });
    for (const text of ['one', 'two']) {
      peer.write(text);
      await until(() => calls.includes(text));
    }
    expect(calls).toEqual(['buffer', 'one', 'buffer', 'microtask', 'two', 'buffer', 'microtask']);
  });

  it('keeps the callback as a property of the socket, and calls it as its method', async () => {
    const receivers: unknown[] = [];
    function callback(this: unknown): boolean {
      receivers.push(this);
      return true;
    }
    const { socket, peer } = await pair({ buffer: Buffer.alloc(16), callback });
    // `as`: the property is in no type.
    const kept = Reflect.ownKeys(socket).map((key) => (socket as unknown as Record<PropertyKey, unknown>)[key]);
    expect(kept).toContain(callback);
    peer.write('one');
    await until(() => receivers.length > 0);
    expect(receivers).toEqual([socket]);
  });

  it('asks for no buffer before it connects but one, and after each read at once, also where the callback destroys', async () => {
    let asked = 0;
    const { socket, peer } = await pair({
      buffer: () => {
        asked += 1;
        return Buffer.alloc(16);
      },
      callback: () => {
        expect(asked).toBe(1);
        socket.destroy();
        queueMicrotask(() => expect(asked).toBe(2));
        return true;
      },
    });
    expect(asked).toBe(1);
    peer.write('one');
    await until(() => socket.closed);
    expect(asked).toBe(2);
  });

  it('leaves the stream to what is pushed, which stops the socket where it is full, and goes on when it is read', async () => {
    const pushed: boolean[] = [];
    const memory = Buffer.alloc(65_536);
    const { socket, peer } = await pair({
      buffer: memory,
      callback: (size) => {
        pushed.push(socket.push(Buffer.from(memory.subarray(0, size))));
        return pushed.at(-1)!;
      },
    });
    const all = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index & 0xff));
    peer.end(all);
    await until(() => pushed.includes(false));
    const { bytesRead } = socket;
    expect(bytesRead).toBeLessThan(all.length);
    const received: Buffer[] = [];
    for await (const chunk of socket) received.push(chunk as Buffer);
    expect(Buffer.concat(received).equals(all)).toBe(true);
  });
});

describe('`Duplex.prototype.pause.call(socket)` (lib/socket/fast-read.ts)', () => {
  async function reading() {
    const read: string[] = [];
    const memory = Buffer.alloc(64);
    const opened = await pair({ buffer: memory, callback: (size) => read.push(memory.toString('utf8', 0, size)) > 0 });
    opened.socket.resume();
    return { ...opened, read };
  }

  it('pauses the stream of a socket with `onread` and not its read, so that it learns of a reset', async () => {
    const { socket, peer, read } = await reading();
    Duplex.prototype.pause.call(socket);
    expect(socket.readableFlowing).toBe(false);
    peer.write('on and on');
    await until(() => read.length > 0);
    const closed = new Promise<boolean>((resolve) => socket.once('close', resolve));
    peer.resetAndDestroy();
    expect(await closed).toBe(true);
    expect(read).toEqual(['on and on']);
  });

  it('is all that `socket.pause()` does besides, which stops the read', async () => {
    const { socket, peer, read } = await reading();
    socket.pause();
    expect(socket.readableFlowing).toBe(false);
    peer.write('a');
    peer.end();
    await new Promise((resolve) => peer.once('finish', resolve));
    for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
    expect(read).toEqual([]);
    socket.resume();
    await until(() => read.length > 0);
    expect(read).toEqual(['a']);
  });
});

describe('a stream over which TLS was laid (lib/socket/wrapped.ts)', () => {
  /** The property `_handle.reading`. */
  const reading = (socket: Socket) => {
    // `as`: `_handle` is in no type.
    const { _handle: handle } = socket as Socket & { _handle?: object };
    return handle && Object.getOwnPropertyDescriptor(handle, 'reading');
  };

  test.each<[string, (socket: Socket) => TLSSocket]>([
    ['the option `socket`', (socket) => connectTls({ socket })],
    ['`new TLSSocket()`', (socket) => new TLSSocket(socket)],
  ])('has an accessor in its handle if it is a socket, by %s, and a value before', async (_how, wrap) => {
    const { socket } = await pair();
    expect(reading(socket)).toMatchObject({ value: expect.any(Boolean) as boolean });
    const secure = track(wrap(socket)).on('error', () => undefined);
    expect(typeof reading(socket)?.get).toBe('function');
    expect(reading(secure)).toMatchObject({ value: expect.any(Boolean) as boolean });

    track(connectTls({ socket: secure })).on('error', () => undefined);
    expect(typeof reading(secure)?.get).toBe('function');
  });

  test('has a listener for `data` that names an error, if it is no socket', () => {
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    stream.on('data', function ondata() {});
    stream.pipe(new PassThrough());
    const found = () =>
      stream.listeners('data').filter((each) => each.name === 'ondata' && String(each).includes('ERR_STREAM_WRAP'));
    expect(found()).toEqual([]);
    track(connectTls({ socket: stream })).on('error', () => undefined);
    expect(found()).toHaveLength(1);
  });
});

test('TLS over a socket begins behind what still waits in that (lib/attempt/attempt.ts)', async () => {
  const { socket, peer } = await pair();
  const [first, second] = [Buffer.alloc(20_000_000, 'h'), Buffer.alloc(1_000_000, 'h')];
  socket.write(first);
  socket.write(second);
  expect(socket.writableLength).toBeGreaterThan(second.length);
  track(connectTls({ socket })).on('error', () => undefined);
  let received = 0;
  let wrong = -1;
  peer.on('data', (chunk) => {
    const at = chunk.findIndex((byte) => byte !== 104);
    if (wrong === -1 && at !== -1) wrong = received + at;
    received += chunk.length;
  });
  await until(() => wrong !== -1);
  expect(wrong).toBe(first.length + second.length);
});

describe('the preset options of a socket (`networkOf()` in lib/socket/open-socket.ts)', () => {
  const PRESET = { allowHalfOpen: false, autoDestroy: true, decodeStrings: false, emitClose: false };

  /** What a stream made of them, under the names it has for itself. */
  function settingsOf(socket: Socket): unknown {
    // `as`: these are there for all streams, and in no type.
    const { _readableState: readable, _writableState: writable } = socket as unknown as Record<string, typeof PRESET>;
    return [
      socket.allowHalfOpen,
      readable?.autoDestroy,
      readable?.emitClose,
      writable?.autoDestroy,
      writable?.emitClose,
      writable?.decodeStrings,
    ];
  }

  it('are what Node sets by itself', () => {
    expect(settingsOf(new Socket(PRESET))).toEqual([false, true, false, true, false, false]);
    expect(settingsOf(new Socket())).toEqual(settingsOf(new Socket(PRESET)));
  });

  it('are not read, but for `allowHalfOpen`', () => {
    const contrary: object = { autoDestroy: false, decodeStrings: true, emitClose: true };
    expect(settingsOf(new Socket(contrary))).toEqual(settingsOf(new Socket()));
  });
});

describe('`markAsUntransferable()` (lib/socket/fast-read.ts)', () => {
  const [major = 0] = process.versions.node.split('.').map(Number);
  const marked = Buffer.allocUnsafeSlow(16);
  markAsUntransferable(marked.buffer);
  const { buffer } = marked;

  it('keeps memory attached, whoever is asked to transfer it', () => {
    const transfer = () => structuredClone(marked, { transfer: [buffer] });
    if (major === 20) expect(transfer().byteLength).toBe(16);
    else expect(transfer).toThrow(expect.objectContaining({ name: 'DataCloneError' }));
    expect(marked.byteLength).toBe(16);
  });

  (major >= 24 ? it : it.skip)('keeps memory from being detached by `transfer()` from Node 24 on', () => {
    // `as`: newer than the types.
    expect(() => (buffer as unknown as { transfer(): void }).transfer()).toThrow('not detachable');
    expect(marked.byteLength).toBe(16);
  });
});

test('the class of a secure context’s `context` is one for all, and no other object’s (lib/options/tls.ts)', () => {
  const [one, other] = [createSecureContext(), createSecureContext({ minVersion: 'TLSv1.3' })].map(
    // `as`: `context` is declared as anything.
    ({ context }) => context as object,
  );
  const { constructor } = one!;
  expect(constructor.name).toBe('SecureContext');
  expect(other).toBeInstanceOf(constructor);
  expect(createSecureContext()).not.toBeInstanceOf(constructor);
  expect({}).not.toBeInstanceOf(constructor);
});

describe('`_events` of eventemitter3 (lib/events/emitter.ts)', () => {
  function eventsOf(subject: EventEmitter): Record<string, unknown> {
    // `as`: it is in no type.
    return (subject as unknown as { _events: Record<string, unknown> })._events;
  }

  it('has an entry for each event with one listener, and an array of them for each with several', () => {
    const [one, other] = [() => undefined, () => undefined];
    const subject = new EventEmitter().once('one', one).on('two', one).on('two', other);
    const entry = { fn: one, context: subject, once: false };
    expect(eventsOf(subject)['one']).toEqual({ ...entry, once: true });
    expect(eventsOf(subject)['two']).toEqual([entry, { ...entry, fn: other }]);
    expect(eventsOf(subject)['none']).toBeUndefined();
  });

  it('has the same array, with one entry more, after a listener was added, and another one after one was removed', () => {
    const third = () => undefined;
    const subject = new EventEmitter().on('event', () => undefined).on('event', () => undefined);
    const before = eventsOf(subject)['event'];
    subject.on('event', third);
    expect(eventsOf(subject)['event']).toBe(before);
    expect(before).toHaveLength(3);
    subject.off('event', third);
    expect(eventsOf(subject)['event']).not.toBe(before);
  });

  it('is what is changed by `on()` and `removeListener()`, also where an entry was put there', () => {
    const [only, other] = [() => undefined, () => undefined];
    const subject = new EventEmitter().on('event', () => undefined);
    const entry = { fn: only, context: subject, once: false };
    eventsOf(subject)['event'] = entry;
    subject.on('event', other);
    expect(eventsOf(subject)['event']).toEqual([entry, { ...entry, fn: other }]);
    subject.off('event', other);
    expect(eventsOf(subject)['event']).toBe(entry);
    subject.off('event', only, {}).off('event', only, undefined, true);
    expect(eventsOf(subject)['event']).toBe(entry);
    subject.off('event', only, subject);
    expect(subject.eventNames()).toEqual([]);
  });

  it('is what is asked for listeners, so that what is put there is one', () => {
    const listener = () => undefined;
    const subject = new EventEmitter();
    const [first, last] = [listener, () => undefined];
    subject.on('event', last).on('event', first);
    const entries = eventsOf(subject)['event'];
    eventsOf(subject)['event'] = [...(entries as unknown[])].reverse();
    expect(subject.listeners('event')).toEqual([first, last]);
    expect(subject.listenerCount('event')).toBe(2);
  });
});

it('V8 stores options as objects with a shape, and not as hash tables (lib/options/checks.ts, settings.ts)', () => {
  setFlagsFromString('--allow-natives-syntax');
  const isShaped = runInNewContext('(object) => %HasFastProperties(object)') as (object: object) => boolean;
  for (let port = 1; port < 20; port++) resolveOptions({ port });
  const { settings, target } = resolveOptions({ port: 1, queue: { maxAge: 1 }, socket: { noDelay: true }, tls: true });
  const { given, queue, socket } = settings;
  for (const each of [settings, given, queue, socket, target!, target!.tls!]) expect(isShaped(each)).toBe(true);
  expect(isShaped(frozen({ port: 1 }))).toBe(true);
  expect(isShaped(Object.assign(Object.create(null) as object, { port: 1 }))).toBe(false);
});
