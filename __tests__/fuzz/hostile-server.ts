import { type AddressInfo, type Socket, createServer } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';

import type { Certificates } from '../kit/certificates';
import { type Program, type Step, programOf } from './hostile-programs';
import { Random } from '../kit/random';

// The program of a hostile server, in a process of its own. Its parent says how many ports it wants and which
// certificates there are, and then, again and again, which seed's program a port is to run from now on.

/** What the parent says. */
export type Order =
  { readonly open: number; readonly certificates: Certificates } | { readonly slot: number; readonly seed: number };

/** What the server answers. */
export type Answer = { readonly ports: readonly number[] } | { readonly slot: number };

const BLOCK = Buffer.alloc(65_536, 'x');
const seeds: number[] = [];
const live: Set<Socket>[] = [];
let certificates: Certificates;

process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  if ('open' in order) {
    certificates = order.certificates;
    void open(order.open);
    return;
  }
  // What the last program left behind is not for the next client.
  for (const socket of live[order.slot] ?? []) socket.destroy();
  seeds[order.slot] = order.seed;
  answer({ slot: order.slot });
});

function answer(value: Answer): void {
  process.send?.(value);
}

async function open(count: number): Promise<void> {
  const ports = Array.from({ length: count }, (_, slot) => {
    const sockets = new Set<Socket>();
    live.push(sockets);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => {});
      const seed = seeds[slot] ?? 0;
      void serve(socket, programOf(seed), new Random(seed + 1));
    });
    return new Promise<number>((resolve) => {
      // `as`: the address of a TCP server.
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });
  });
  answer({ ports: await Promise.all(ports) });
}

async function serve(socket: Socket, program: Program, random: Random): Promise<void> {
  const { layer, certificate, halfOpen, steps, beneath } = program;
  const context = layer === 'secure' ? createSecureContext(certificates[certificate]) : undefined;
  const stream = context === undefined ? socket : new TLSSocket(socket, { isServer: true, secureContext: context });
  stream.on('error', () => {});
  stream.resume();
  stream.on('end', () => {
    if (!halfOpen) stream.end();
  });
  for (const step of steps) await run(step, stream, random);
  if (stream === socket) return;
  for (const step of beneath) await run(step, socket, random);
}

async function run(step: Step, socket: Socket, random: Random): Promise<void> {
  const write = (chunk: string | Buffer) => {
    if (socket.writable) socket.write(chunk);
  };
  switch (step.do) {
    case 'wait':
      await new Promise((resolve) => setTimeout(resolve, step.ms));
      return;
    case 'send': {
      const bytes = random.bytes(step.bytes);
      for (let at = 0; at < bytes.length && socket.writable; at += step.slice) {
        write(bytes.subarray(at, at + step.slice));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return;
    }
    case 'say':
      write(step.text);
      return;
    case 'raw':
      write(Buffer.from(step.hex, 'hex'));
      return;
    case 'flood':
      for (let block = 0; block < step.blocks; block++) write(BLOCK);
      return;
    case 'end':
      return void socket.end();
    case 'reset':
      // A socket beneath TLS is reset all the same; TLS itself knows no reset.
      if (socket instanceof TLSSocket) socket.destroy();
      else socket.resetAndDestroy();
      return;
    case 'destroy':
      return void socket.destroy();
    case 'deaf':
      return void socket.pause();
    case 'listen':
      return void socket.resume();
    case 'echo':
      return void socket.on('data', write);
  }
}
