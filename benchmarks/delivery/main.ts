// npm run bench:delivery [-- --rounds 15]
//
// What at-least-once delivery costs beside bare writes: messages of 100 bytes to a peer in a process of its own, which
// acknowledges what each of its reads has brought. The first client runs twice (A/A): its second row shows the noise.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ReconnectingConnection } from 'reconnecting-connection';
import { DeliveryWindow, FileSpool } from 'reconnecting-connection/delivery';

/** Bytes of a message on the wire: its position in ten characters, a hundred of text, and a line feed. */
const WIRE_SIZE = 111;
const text = 'x'.repeat(100);
const encode = (position: number, message: string) => `${String(position).padStart(10)}${message}\n`;

const collect =
  globalThis.gc ??
  (() => {
    throw new Error('Run it with node --expose-gc, as npm run bench:delivery does');
  });

/** Sends one message. */
type Send = () => unknown;
/** Prepares a client, which calls `onAcknowledged` with the position that the peer has. */
type Client = (
  connection: ReconnectingConnection,
  onAcknowledged: (listener: (position: number) => void) => void,
) => Send | Promise<Send>;

const bare: Client = (connection) => {
  let position = 1;
  return () => connection.write(encode(position++, text));
};

/** A map of what is not acknowledged, as it is written by hand. */
const byHand: Client = (connection, onAcknowledged) => {
  const kept = new Map<number, string>();
  let [first, next, written, hasRoom] = [1, 1, 1, true];
  const write = () => {
    while (hasRoom && connection.state === 'open' && written < next) {
      const line = kept.get(written++);
      if (line !== undefined) hasRoom = connection.write(line);
    }
  };
  connection.on('drain', () => {
    hasRoom = true;
    write();
  });
  onAcknowledged((position) => {
    while (first <= position) kept.delete(first++);
  });
  return () => {
    kept.set(next, encode(next, text));
    next += 1;
    write();
  };
};

const window: Client = (connection, onAcknowledged) => {
  const delivery = new DeliveryWindow(connection, { encode, maxBytes: 100_000_000 });
  onAcknowledged((position) => delivery.acknowledge(position));
  return () => delivery.send(text);
};

/** A window over files. */
const spooled =
  (sync: 'always' | 'never' | number): Client =>
  async (connection, onAcknowledged) => {
    const directory = mkdtempSync(join(tmpdir(), 'spool-'));
    const spool = new FileSpool({ directory, sync });
    const delivery = new DeliveryWindow(connection, { encode, maxBytes: 100_000_000, spool });
    await delivery.ready;
    connection.on('close', () => void spool.close().then(() => rmSync(directory, { recursive: true })));
    onAcknowledged((position) => delivery.acknowledge(position));
    return () => delivery.send(text);
  };

const clients: readonly (readonly [name: string, client: Client])[] = [
  ['bare write', bare],
  ['bare write, again', bare],
  ['a map by hand', byHand],
  ['window', window],
  ['spool, never', spooled('never')],
  ['spool, 1000 ms', spooled(1_000)],
  ['spool, always', spooled('always')],
];

/** Sends so many messages, `burst` a turn of the event loop. Returns microseconds a message: of CPU, and that passed. */
async function measure(
  client: Client,
  port: number,
  count: number,
  burst: number,
): Promise<[cpu: number, wall: number]> {
  const connection = new ReconnectingConnection({ port });
  await connection.whenOpen();
  let acknowledged = 0;
  let goOn: (() => void) | undefined;
  let listener: ((position: number) => void) | undefined;
  connection.on('data', (chunk) => {
    acknowledged = Number(chunk.subarray(-11).toString());
    listener?.(acknowledged);
    goOn?.();
  });
  const send = await client(connection, (each) => (listener = each));
  const waitFor = async (position: number) => {
    while (acknowledged < position) await new Promise<void>((resolve) => (goOn = resolve));
  };
  const [cpu, time] = [process.cpuUsage(), performance.now()];
  for (let sent = 0; sent < count; sent += burst) {
    for (let each = 0; each < burst; each++) send();
    await new Promise(setImmediate);
    await waitFor(sent - 5_000);
  }
  await waitFor(count);
  const wall = performance.now() - time;
  const { user, system } = process.cpuUsage(cpu);
  connection.destroy();
  return [(user + system) / count, (wall * 1e3) / count];
}

/** Bytes of memory that each of 100,000 messages takes in a full window. */
async function memory(): Promise<number> {
  const connection = new ReconnectingConnection({ port: 1, autoConnect: false });
  const used = async () => {
    // What the clients have left is finalized in turns of the event loop, and its buffers are counted until then.
    for (let turn = 0; turn < 3; turn++) {
      collect();
      await new Promise(setImmediate);
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = await used();
  const delivery = new DeliveryWindow(connection, { encode, maxBytes: 10_000_000 });
  while (delivery.send(text));
  const taken = (await used()) - before;
  // Read afterwards, so that the window is not collected before.
  return taken / delivery.stats.unacknowledged.messages;
}

function serve(): Server {
  const onSocket = (socket: Socket) => {
    let [received, answered] = [0, 0];
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        received += chunk.length;
        const position = Math.floor(received / WIRE_SIZE);
        if (position > answered) socket.write(`${String((answered = position)).padStart(10)}\n`);
      });
  };
  // `as`: it listens at a port.
  const server = createServer(onSocket).listen(0, '127.0.0.1', () =>
    process.send?.((server.address() as { port: number }).port),
  );
  return server;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function main(): Promise<void> {
  const rounds = Number(process.argv[process.argv.indexOf('--rounds') + 1]) || 15;
  const peer = fork(__filename, ['peer']);
  const [port] = (await once(peer, 'message')) as [number];
  console.log('| messages a turn | client | messages/s | CPU µs a message | CPU beside bare |');
  console.log('|---|---|---|---|---|');
  for (const burst of [1, 100]) {
    const count = burst === 1 ? 10_000 : 100_000;
    const found = new Map(clients.map(([name]) => [name, [] as [number, number][]]));
    for (const [, client] of clients) await measure(client, port, count, burst);
    for (let round = 0; round < rounds; round++) {
      for (const [name, client] of clients) found.get(name)!.push(await measure(client, port, count, burst));
    }
    const base = found.get('bare write')!;
    for (const [name, all] of found) {
      const ratio = median(all.map(([cpu], at) => cpu / base[at]![0])).toFixed(2);
      const rate = Math.round(1e6 / median(all.map(([, wall]) => wall)) / 1e3);
      console.log(`| ${burst} | ${name} | ${rate},000 | ${median(all.map(([cpu]) => cpu)).toFixed(2)} | ${ratio} |`);
    }
  }
  peer.kill();
  console.log(`\nA full window of 100,000 messages of 100 bytes: ${(await memory()).toFixed(0)} bytes a message.`);
}

if (process.argv[2] === 'peer') serve();
else void main();
