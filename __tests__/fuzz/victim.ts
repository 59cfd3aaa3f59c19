import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { PassThrough, Transform } from 'node:stream';

import { type ConnectionOptions, type WriteChunk, type WriteOptions, ReconnectingConnection } from '../../lib/index';
import type { Certificates } from '../kit/certificates';
import { Grammar } from './grammar';
import { programOf } from './hostile-programs';
import { Random } from '../kit/random';

/** What a client has been through. */
export interface Life {
  readonly faults: readonly string[];
  readonly events: Readonly<Record<string, number>>;
  /** Milliseconds that `disconnect()` took beyond `closeTimeout`. */
  readonly overtime: number;
}

/** How late `disconnect()` may be, in milliseconds: the machine has much else to do. */
const TOLERANCE = 1_500;

/** Lives through a server's behaviour with options that come of the same seed, and says what was not as it must be. */
export async function liveThrough(seed: number, port: number, certificates: Certificates): Promise<Life> {
  const random = new Random(seed + 2);
  const options = optionsFor(seed, port, certificates, random);
  const connection = new ReconnectingConnection(options);
  const grammar = new Grammar(connection);
  const faults: string[] = [];
  const writes = { called: 0, made: 0 };
  const write: Write = (chunk, will = {}) => {
    writes.made += 1;
    connection.write(chunk, will, () => (writes.called += 1));
  };

  const acts = 1 + random.below(5);
  for (let act = 0; act < acts; act++) {
    await new Promise((resolve) => setTimeout(resolve, random.below(30)));
    misuse(connection, random, write);
  }
  if (random.chance(1 / 8)) connection.destroy();

  const from = performance.now();
  const closeTimeout = options.closeTimeout ?? 0;
  const ended = connection.disconnect();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), closeTimeout + TOLERANCE);
  });
  if ((await Promise.race([ended, late])) === 'late') {
    faults.push(`disconnect() was not done in state ${connection.state}`);
    connection.destroy();
  }
  clearTimeout(timer);
  const overtime = Math.max(0, Math.round(performance.now() - from - closeTimeout));

  // Whatever would still come after `close` has the time to come now.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  faults.push(...grammar.violations);
  const { open = 0, reset = 0, close = 0 } = grammar.counts;
  if (open !== reset) faults.push(`${open} times open, ${reset} times reset`);
  if (close !== grammar.ends || close === 0) faults.push(`${close} times close for ${grammar.ends} ends`);
  if (connection.state !== 'closed') faults.push(`ended in state ${connection.state}`);
  if (writes.called !== writes.made) faults.push(`${writes.called} callbacks for ${writes.made} writes`);
  const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
  if (accepted.bytes !== confirmed.bytes + uncertain.bytes + dropped.bytes || queued.bytes !== 0) {
    faults.push(`the bytes do not add up: ${JSON.stringify(connection.stats.writes)}`);
  }
  return { faults, events: grammar.counts, overtime };
}

type Write = (chunk: WriteChunk, will?: WriteOptions) => void;

const CHUNKS: readonly WriteChunk[] = ['line\n', ['li', 'ne', Buffer.from('\n')], [], Buffer.alloc(20_000), ''];

/** What an application may want of a write. */
function willOf(random: Random): WriteOptions {
  return {
    ...(random.chance(1 / 2) && { key: random.of(['a', 'b']) }),
    ...(random.chance(1 / 3) && { priority: 'urgent' as const }),
    ...(random.chance(1 / 3) && { maxAge: random.below(40) }),
    ...(random.chance(1 / 3) && { signal: AbortSignal.timeout(random.below(40)) }),
  };
}

/** Something that an application might do at any time. */
function misuse(connection: ReconnectingConnection, random: Random, write: Write): void {
  switch (random.below(12)) {
    case 0:
      return connection.reconnect();
    case 8:
      return connection.reconnect({ delay: random.below(60) });
    case 9:
      return connection.fail(random.of([undefined, new Error('a bad session'), 'a bad session']));
    case 10:
      return void connection.clearQueue();
    case 11:
      for (let count = random.below(20); count > 0; count--) write(random.of(CHUNKS), willOf(random));
      return;
    case 1:
      return void connection.pause();
    case 2:
      return void connection.resume();
    case 3:
      return connection.markHealthy();
    case 4:
      return write(random.bytes(random.below(100_000)));
    case 5:
      for (let count = random.below(50); count > 0; count--) write('line\n');
      return;
    case 6:
      return connection.connect();
    default:
      return write('hello\n');
  }
}

function optionsFor(seed: number, port: number, { ca }: Certificates, random: Random): ConnectionOptions {
  const often = <T>(times: number, make: () => T): T | undefined => (random.chance(1 / times) ? make() : undefined);
  // Mostly a client that speaks what the server does.
  const secure = (programOf(seed).layer === 'secure') !== random.chance(1 / 8);
  return given<ConnectionOptions>({
    port,
    host: 'localhost',
    backoff: { initialDelay: 10, maxDelay: 30 + random.below(50) },
    minUptime: random.below(100),
    connectTimeout: 50 + random.below(400),
    closeTimeout: random.below(150),
    socket: { family: 4, allowHalfOpen: random.chance(1 / 3), noDelay: random.chance(1 / 2) },
    tls: secure ? { ca: ca.cert, rejectUnauthorized: !random.chance(1 / 5) } : undefined,
    maxRetries: often(6, () => random.below(4)),
    writeTimeout: often(3, () => 20 + random.below(60)),
    beforeTls: often(4, () => (socket) => (random.chance(1 / 2) ? socket : undefined)),
    idleTimeout: often(3, () => 5 + random.below(60)),
    heartbeat: often(3, () => ({
      interval: 5 + random.below(40),
      timeout: random.of([Infinity, 5 + random.below(40)]),
      idle: random.chance(1 / 3),
      ping: (beating) => void beating.write('ping\n'),
    })),
    handshake: often(3, () => readLine),
    decoder: often(2, () => random.of(DECODERS)),
    queue: often(3, () => ({
      maxBytes: random.of([0, 100, 100_000]),
      maxAge: 5 + random.below(50),
      overflow: random.of(['refuse', 'drop-oldest']),
    })),
    reuseReadBuffer: random.chance(1 / 2),
  });
}

function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): T {
  // `as`: what is undefined is not there any more.
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** A handshake that reads a line, and refuses one that is too long or not what was agreed on. */
async function readLine(socket: Duplex, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  let line = '';
  while (!line.includes('\n')) {
    // `as`: a socket gives bytes, or null.
    const byte = socket.read(1) as Buffer | null;
    if (byte === null) await once(socket, 'readable', { signal });
    else line += byte.toString('latin1');
    if (line.length > 100) throw new Error('The line is too long');
  }
  if (line !== 'WELCOME\n') throw new Error('That is no welcome');
}

/** Decoders good and bad: they frame, they fail, they throw, they take their time, they end too soon. */
const DECODERS = [
  () => new PassThrough(),
  () =>
    new Transform({
      readableObjectMode: true,
      transform(chunk: Buffer, _encoding, done) {
        for (const line of chunk.toString('latin1').split('\n')) this.push(line === '' ? 'empty' : line);
        done();
      },
    }),
  () => new Transform({ transform: (chunk: Buffer, _encoding, done) => void setTimeout(done, 3, null, chunk) }),
  () =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (chunk.includes(0)) done(new Error('That is no text'));
        else done(null, chunk);
      },
    }),
  () =>
    new Transform({
      transform(chunk: Buffer) {
        throw new Error(`No frame in ${chunk.length} bytes`);
      },
    }),
  () =>
    new Transform({
      transform(_chunk, _encoding, done) {
        this.push(null);
        done();
      },
    }),
] as const;
