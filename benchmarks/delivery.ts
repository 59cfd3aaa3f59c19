// What a delivered message costs: npm run compile && node temp/javascript/benchmarks/delivery.js [messages]. Messages of 100 bytes go to a peer
// in another process, which acknowledges each; the bare connection gets no answers. Best of three runs.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ReconnectingConnection } from 'reconnecting-connection';
import { DeliveryWindow, FileSpool } from 'reconnecting-connection/delivery';

const TEXT = 'x'.repeat(88);
const encode = (position: number, text: string) => `${String(position).padStart(10, '0')} ${text}\n`;

/** Acknowledges by the count of the bytes, so that it costs little itself. */
function serve(): void {
  const server = createServer((socket) => {
    let bytes = 0;
    socket.on('data', (chunk) => socket.write(`${Math.floor((bytes += chunk.length) / 100)}\n`));
    socket.on('error', () => undefined);
  });
  // `as`: it listens on a port.
  server.listen(0, () => process.send?.((server.address() as AddressInfo).port));
  process.on('disconnect', () => process.exit());
}

/** Sends so many messages and waits for the last acknowledgement. Returns messages per second and CPU in µs a message. */
async function measure(
  port: number,
  messages: number,
  kind: 'bare' | 'window' | 'always' | 'never' | number,
): Promise<{ readonly rate: number; readonly cpu: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'));
  const connection = new ReconnectingConnection({ port });
  const spool = kind === 'bare' || kind === 'window' ? undefined : new FileSpool({ directory, sync: kind });
  const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000_000, spool });
  await Promise.all([connection.whenOpen(), window.ready]);
  let acknowledged = 0;
  connection.on('data', (chunk: Buffer) => {
    const text = chunk.toString();
    acknowledged = Number(text.slice(text.lastIndexOf('\n', text.length - 2) + 1));
    if (kind !== 'bare') window.acknowledge(acknowledged);
  });
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  for (let number = 1; number <= messages; number += 1) {
    if (kind === 'bare' ? connection.write(encode(number, TEXT)) : window.send(TEXT)) continue;
    await once(kind === 'bare' ? connection : window, 'drain');
  }
  while (acknowledged < messages) await once(connection, 'data');
  const took = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  window.close();
  connection.destroy();
  await spool?.close();
  rmSync(directory, { recursive: true });
  return { rate: (messages / took) * 1_000, cpu: (user + system) / messages };
}

async function main(): Promise<void> {
  const messages = Number(process.argv[2] ?? 200_000);
  const child = fork(__filename, ['serve']);
  // `as`: it sends nothing else.
  const [port] = (await once(child, 'message')) as [number];
  for (const kind of ['bare', 'window', 'never', 1_000, 'always'] as const) {
    const runs: Awaited<ReturnType<typeof measure>>[] = [];
    for (let run = 0; run < 3; run += 1) runs.push(await measure(port, messages, kind));
    const best = runs.reduce((one, other) => (one.rate > other.rate ? one : other));
    const name = kind === 'bare' || kind === 'window' ? kind : `spool, sync: ${kind}`;
    console.log(
      `${name.padEnd(20)} ${best.rate.toFixed(0).padStart(8)} messages/s  ${best.cpu.toFixed(2)} µs CPU/message`,
    );
  }
  child.disconnect();
}

if (process.argv[2] === 'serve') serve();
else void main();
