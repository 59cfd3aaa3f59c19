// A proxy that does to its links what networks do. It runs in a process of its own, and obeys messages of its parent.
import { once } from 'node:events';
import { type NetConnectOpts, type Server, type Socket, connect, createServer } from 'node:net';

import { type Cut, type CutAfter, type Direction, type Faults, Link, cutSocket } from './fault-link';

/** A port, or a Unix socket. */
export type Place = { readonly port: number; readonly host?: string } | { readonly path: string };

/** What becomes of a client that dials: its link is forwarded, or it is hung up on, or it never hears a word. */
export type Accept = 'forward' | 'end' | 'reset' | 'blackhole';

/** What the proxy knows. */
export interface ProxyStats {
  /** Links that are open now, those that are closing included. */
  readonly links: number;
  /** Clients that were ever accepted. */
  readonly accepted: number;
  /** Bytes that were forwarded. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** When the latest clients were accepted, in milliseconds since the epoch, with fractions. */
  readonly acceptedAt: readonly number[];
  /** Memory of its process, in bytes. */
  readonly rss: number;
}

/** More than a test looks at, so that a long run does not fill the memory. */
const REMEMBERED = 10_000;

class Proxy {
  readonly #faults: Record<Direction, Faults> = { toTarget: {}, toClient: {} };
  readonly #links = new Set<{ cut(how: Cut): void; link?: Link }>();
  readonly #bytes = { toTarget: 0, toClient: 0 };
  #acceptedAt: number[] = [];
  #accepted = 0;
  #accept: Accept = 'forward';
  #cutAfter: CutAfter | undefined;
  #target: Place | undefined;
  #place: Place | undefined;
  #server: Server | undefined;

  /** Listens at `place`, in front of `target`. Returns where. */
  async start(target: Place, place: Place): Promise<Place> {
    this.#target = target;
    this.#place = place;
    await this.up();
    return this.#place;
  }

  set(faults: Faults, directions: readonly Direction[]): void {
    for (const direction of directions) this.#faults[direction] = { ...this.#faults[direction], ...faults };
    this.#refresh();
  }

  clear(): void {
    this.#faults.toTarget = {};
    this.#faults.toClient = {};
    this.#accept = 'forward';
    this.cutAfter(undefined);
    this.#refresh();
  }

  accept(accept: Accept): void {
    this.#accept = accept;
  }

  /** `null` is what is left of an undefined on its way here. */
  cutAfter(cutAfter: CutAfter | null | undefined): void {
    this.#cutAfter = cutAfter ?? undefined;
    for (const { link } of this.#links) if (link !== undefined) link.cutAfter = this.#cutAfter;
  }

  cut(how: Cut): number {
    for (const link of this.#links) link.cut(how);
    return this.#links.size;
  }

  /** Listens no more. Resolves when dials are refused. */
  down(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  async up(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#onClient(client));
    this.#server = server;
    server.listen(this.#place);
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#place = { port: address.port, host: address.address };
  }

  stats(): ProxyStats {
    return {
      links: this.#links.size,
      accepted: this.#accepted,
      bytes: this.#bytes,
      acceptedAt: this.#acceptedAt,
      rss: process.memoryUsage.rss(),
    };
  }

  #refresh(): void {
    for (const { link } of this.#links) link?.refresh();
  }

  #onClient(client: Socket): void {
    this.#accepted += 1;
    this.#acceptedAt.push(performance.timeOrigin + performance.now());
    if (this.#acceptedAt.length > REMEMBERED) this.#acceptedAt = this.#acceptedAt.slice(REMEMBERED / 2);
    client.on('error', () => undefined);
    if (this.#accept === 'forward') {
      this.#forward(client);
    } else {
      const alone = { cut: (how: Cut) => cutSocket(client, how) };
      this.#links.add(alone);
      client.on('close', () => this.#links.delete(alone));
      if (this.#accept === 'blackhole') client.resume();
      else cutSocket(client, this.#accept);
    }
  }

  #forward(client: Socket): void {
    // `as`: Node's own types ask for a port even where there is a path.
    const target = connect({ ...this.#target, allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    // A target that refuses shows as an RST, by way of the link.
    target.on('error', () => undefined);
    const link = new Link(client, target, this.#faults, (direction, bytes) => (this.#bytes[direction] += bytes));
    link.cutAfter = this.#cutAfter;
    const entry = { link, cut: (how: Cut) => link.cut(how) };
    this.#links.add(entry);
    let open = 2;
    const onClose = () => {
      open -= 1;
      if (open === 0) this.#links.delete(entry);
    };
    client.on('close', onClose);
    target.on('close', onClose);
  }
}

/** What the parent asks for: a method, and what to give it. */
export type Request = {
  [Method in keyof Proxy]: { readonly id: number; readonly method: Method; readonly args: Parameters<Proxy[Method]> };
}[keyof Proxy];

/** What it comes to. */
export type Reply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

export type { Proxy };

const proxy = new Proxy();

async function answer({ id, method, args }: Request): Promise<Reply> {
  try {
    // `as`: the arguments belong to the method, which the compiler cannot follow through the union.
    const call = proxy[method] as (...args: unknown[]) => unknown;
    return { id, result: await call.apply(proxy, [...args]) };
  } catch (error) {
    return { id, error: String(error) };
  }
}

process.on('message', (request) => {
  // `as`: nobody but the parent's own `FaultProxy` has the other end of this channel.
  void answer(request as Request).then((reply) => process.send?.(reply));
});
// No parent, no proxy.
process.on('disconnect', () => process.exit());
