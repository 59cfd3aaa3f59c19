import { type Server, type Socket, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { now } from '../client/recovery';
import { lastingPort } from './kernel';

// node fleet-servers.js TARGETS: so many servers, each on a port of its own, that greet each session with their number. It
// prints the ports. For a line with `Restarts` it restarts all of them once, and prints what it saw as `Restarted`.

export interface Restarts {
  /** Milliseconds for which each server is down. */
  readonly outage: number;
  /** Whether each is restarted when the one before listens again, and not all at once. */
  readonly isRolling: boolean;
}

export interface Restarted {
  /** When the first went down, and when each listened again, on the clock that all processes share. */
  readonly from: number;
  readonly listenedAt: readonly number[];
  /** The fewest sessions of all servers together. */
  readonly least: number;
}

/** The sessions of all servers. */
const census = { open: 0, least: Infinity };

class Target {
  readonly #greeting: Uint8Array;
  readonly #number: number;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(number: number, port: number) {
    this.#greeting = Uint8Array.of(number);
    this.#number = number;
    this.#port = port;
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server = createServer((socket) => this.#accept(socket));
      this.#server.listen({ port: this.#port, host: '127.0.0.1' }, () => resolve(now()));
    });
  }

  /** Every second server resets its sessions, the others end them. Returns when it listens again. */
  async restart(outage: number): Promise<number> {
    this.#server?.close();
    for (const socket of this.#sockets) {
      this.#forget(socket);
      if (this.#number % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    }
    await sleep(outage);
    return this.listen();
  }

  #accept(socket: Socket): void {
    census.open += 1;
    this.#sockets.add(socket);
    socket
      .on('error', () => undefined)
      .on('close', () => this.#forget(socket))
      .resume()
      .write(this.#greeting);
  }

  #forget(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return;
    census.open -= 1;
    census.least = Math.min(census.least, census.open);
  }
}

async function restartAll(targets: readonly Target[], { outage, isRolling }: Restarts): Promise<Restarted> {
  const from = now();
  census.least = census.open;
  if (!isRolling) {
    const listenedAt = await Promise.all(targets.map((target) => target.restart(outage)));
    return { from, listenedAt, least: census.least };
  }
  const listenedAt: number[] = [];
  for (const target of targets) listenedAt.push(await target.restart(outage));
  return { from, listenedAt, least: census.least };
}

async function serve(count: number): Promise<void> {
  const targets: Target[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const port = await lastingPort();
    const target = new Target(ports.length, port);
    await target.listen();
    ports.push(port);
    targets.push(target);
  }
  process.stdout.write(`${JSON.stringify(ports)}\n`);
  // It ends with the process that started it.
  for await (const line of createInterface({ input: process.stdin })) {
    // `as`: written by the process that started this one.
    process.stdout.write(`${JSON.stringify(await restartAll(targets, JSON.parse(line) as Restarts))}\n`);
  }
  process.exit();
}

void serve(Number(process.argv[2]));
