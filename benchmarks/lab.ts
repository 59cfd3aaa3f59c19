import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compiledRoot } from '../__tests__/kit/compiled';
import { Child } from './child';
import type { Address } from './client/endpoint';
import { libraryIn } from './client/ours';
import type { Work } from './client/process';
import type { Setup } from './client/task';
import type { Entrant, Figures } from './contest';
import { type Native, compileNative } from './peer/native';

/** `Omit` for each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type Transport = 'tcp' | 'unix';

/** A client with its name in the tables. */
export type Named = Setup & { readonly name: string };

/** Node's own socket, with which the tables compare. */
export const socket = { name: 'net.Socket', client: 'bare' } as const;
export const corked = { name: 'net.Socket, corked by hand', client: 'corked' } as const;

/** The other libraries. */
export const peers = [
  { name: 'connman', client: 'connman' },
  { name: 'reconnect-net', client: 'reconnectNet' },
  { name: 'net-socket', client: 'netSocket' },
  { name: 'net-socket-reconnect', client: 'netSocketReconnect' },
] as const;

/** Makes an entrant of each client. */
export function entrants<T extends Named>(clients: readonly T[], run: (client: T) => Promise<Figures>): Entrant[] {
  return clients.map((client) => ({ name: client.name, run: () => run(client) }));
}

/** Runs clients, each in a process of its own and against a fresh peer. */
export class Lab {
  readonly #scale: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'benchmarks-'));
  /** This library as it is, then other versions of it. */
  readonly #libraries: readonly [javascript: string, ...others: string[]];
  #native: Promise<Native> | undefined;
  #sockets = 0;

  private constructor(scale: number, libraries: readonly [string, ...string[]]) {
    this.#scale = scale;
    this.#libraries = libraries;
  }

  /**
   * @param scale - How much is done in a run, as a multiple of the usual amount.
   * @param libraries - Directories with other versions of this library.
   */
  static async open(scale: number, libraries: readonly string[] = []): Promise<Lab> {
    libraries.forEach(libraryIn);
    return new Lab(scale, [await compiledRoot(), ...libraries]);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** This library and its other versions; `title` follows their names. */
  ours(title = '', setup: Partial<Setup> = {}): Named[] {
    return this.#libraries.map((library, index) => ({
      name: `${index === 0 ? 'ours' : `ours@${library}`}${title}`,
      client: 'ours',
      library,
      ...setup,
    }));
  }

  pooled(): Named[] {
    return this.ours(', in a pool', { client: 'pooled' });
  }

  /** `count` by the scale, at least 1. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count * this.#scale));
  }

  /** The same for a warm-up, which must be long enough for the code to be compiled, however little is measured. */
  warmUp(count: number): number {
    return Math.max(1, Math.round(count * Math.min(1, 4 * this.#scale)));
  }

  /** Runs a client against a fresh peer, and returns its figures. */
  measure<T extends Figures = Figures>(work: Without<Work, 'address'>, transport: Transport = 'tcp'): Promise<T> {
    return this.#withPeer(transport, (address) => {
      const task = JSON.stringify({ ...work, address });
      return this.run<T>([process.execPath, '--expose-gc', this.script('client/process'), task]);
    });
  }

  /** Runs the client in C against a fresh peer. */
  measureNative<T extends Figures>(args: readonly (string | number)[], transport: Transport): Promise<T> {
    return this.#withPeer(transport, (address, { client }) =>
      this.run<T>([client, String('path' in address ? address.path : address.port), ...args.map(String)]),
    );
  }

  /** The path of a compiled program of the benchmarks. */
  script(name: string): string {
    return join(this.#libraries[0], 'benchmarks', `${name}.js`);
  }

  /** Runs a command until it prints its figures. */
  async run<T>(command: readonly string[]): Promise<T> {
    const child = new Child(command);
    try {
      // `as`: printed by the programs of this folder.
      return JSON.parse(await child.line()) as T;
    } finally {
      await child.kill();
    }
  }

  async #withPeer<T>(transport: Transport, work: (address: Address, native: Native) => Promise<T>): Promise<T> {
    const native = await (this.#native ??= compileNative(this.#directory));
    const path = join(this.#directory, `${++this.#sockets}.sock`);
    const peer = new Child(transport === 'unix' ? [native.peer, path] : [native.peer]);
    try {
      const port = Number(await peer.line());
      return await work(transport === 'unix' ? { path } : { port, host: '127.0.0.1' }, native);
    } finally {
      await peer.kill();
    }
  }
}
