import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compiledRoot } from '../__tests__/kit/compiled';
import { Child } from './child';
import { libraryIn } from './client/ours';
import type { Work } from './client/process';
import type { Client, SlicesTask } from './client/slices';
import type { Contest, Figures, Heading } from './contest';
import { compilePeer } from './peer/native';
import { project } from './project';

/** `Omit` for each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** Node's own socket, with which most tables compare. */
export const socket = { name: 'net.Socket', client: 'bare' } as const;
export const shaped = { name: 'net.Socket, shaped', client: 'shaped' } as const;
export const alike = { name: 'net.Socket, shaped, keep-alive, addresses', client: 'alike' } as const;
export const connman = { name: 'connman', client: 'connman' } as const;

/** The first entrant of a table again, as a control. */
export function again<T extends { readonly name: string }>(first: T): T {
  return { ...first, name: `${first.name} again` };
}

/** A table whose entrants are measured each in a process of its own. */
export function apart<T extends { readonly name: string }>(
  heading: Heading & Pick<Contest, 'share'>,
  clients: readonly T[],
  run: (client: T) => Promise<Figures>,
): Contest {
  return {
    ...heading,
    entrants: clients.map(({ name }) => name),
    measure: async (names) => {
      const chosen = clients.filter(({ name }) => names.includes(name));
      const found = chosen.map(async (client): Promise<[string, Figures]> => [client.name, await run(client)]);
      return Object.fromEntries(await Promise.all(found));
    },
  };
}

/** How to measure in slices, beside the clients. */
export type Slices = Pick<SlicesTask, 'kind' | 'load' | 'slices'> & {
  /** How many units each client does before at least; default: 1. */
  readonly least?: number;
};

/** Milliseconds. */
const WARM_UP = 1_000;

/** How many connections the fleet has, and how many targets. */
export interface FleetSize {
  readonly members: number;
  readonly targets: number;
}

/** Runs clients in processes against fresh peers. */
export class Lab {
  readonly fleet: FleetSize;
  readonly #scale: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'benchmarks-'));
  readonly #javascript: string;
  /** This library as it is built, then other versions of it. */
  readonly #libraries: readonly string[];
  #peer: Promise<string> | undefined;

  private constructor(scale: number, javascript: string, libraries: readonly string[], fleet: Partial<FleetSize>) {
    this.#scale = scale;
    this.#javascript = javascript;
    this.#libraries = libraries;
    const { members = this.scaled(10_000), targets = this.scaled(100) } = fleet;
    this.fleet = { members, targets };
  }

  /**
   * @param scale - How much is done in a run, as a multiple of the usual amount.
   * @param libraries - Directories with other versions of this library.
   * @param fleet - By default 10,000 connections to 100 targets, by the scale.
   */
  static async open(scale: number, libraries: readonly string[] = [], fleet: Partial<FleetSize> = {}): Promise<Lab> {
    [project, ...libraries].forEach(libraryIn);
    return new Lab(scale, await compiledRoot(), [project, ...libraries], fleet);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** This library and its other versions; `title` follows their names. */
  ours(title = '', setup: Partial<Client> = {}): Client[] {
    return this.#libraries.map((library, index) => {
      const name = `${index === 0 ? 'ours' : `ours@${library}`}${title}`;
      return { client: 'ours', library, ...setup, name };
    });
  }

  /** `count` by the scale, at least 1. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count * this.#scale));
  }

  /** A table whose entrants are measured in slices of one process. */
  sliced(
    { share, ...heading }: Heading & Pick<Contest, 'share'>,
    clients: readonly Client[],
    { kind, load, slices, least = 1 }: Slices,
  ): Contest {
    return {
      ...heading,
      note: [`In ${slices} slices.`, heading.note ?? []].flat().join(' '),
      entrants: clients.map(({ name }) => name),
      isShared: true,
      ...(share !== undefined && { share }),
      measure: (names) =>
        this.measure<Record<string, Figures>>({
          work: 'slices',
          kind,
          load,
          clients: clients.filter(({ name }) => names.includes(name)),
          slices: this.scaled(slices),
          warmUp: { time: this.scaled(WARM_UP), units: this.scaled(least) },
        }),
    };
  }

  /** Runs a client against a fresh peer, and returns what it prints. */
  async measure<T = Figures>(work: Without<Exclude<Work, { work: 'tls' | 'fleet' }>, 'address'>): Promise<T> {
    const peer = new Child([await (this.#peer ??= compilePeer(this.#directory))]);
    try {
      const address = { port: Number(await peer.line()), host: '127.0.0.1' };
      return await this.run<T>(this.client({ ...work, address }));
    } finally {
      await peer.kill();
    }
  }

  /** The command of a client. */
  client(task: object): string[] {
    return [process.execPath, '--expose-gc', this.script('client/process'), JSON.stringify(task)];
  }

  /** The path of a compiled program of the benchmarks. */
  script(name: string): string {
    return join(this.#javascript, 'benchmarks', `${name}.js`);
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
}
