import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compiledRoot } from '../__tests__/kit/compiled';
import { kill } from '../__tests__/kit/clean-up';
import type { Place } from './client/endpoint';
import { libraryIn } from './client/ours';
import type { Work } from './client/process';
import type { ClientName, Who } from './client/task';
import type { Figures } from './contest';
import { type Native, compileNative } from './peer/native';
import { Peer } from './peer/peer';

/** Milliseconds that a client may take, on a machine with much else to do. */
const PATIENCE = 120_000;

/** `Omit` for each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** What a client is to do, wherever its peer turns out to listen. */
export type Wish = Without<Work, 'place'>;

/** Where runs are made: it has the peers, and starts clients in processes of their own. */
export class Lab {
  readonly native: Native | undefined;
  /** How much is done in a run, as a multiple of what is usual. */
  readonly scale: number;
  readonly #directory: string;
  readonly #javascript: string;
  readonly #libraries: readonly string[];
  #sockets = 0;

  private constructor(
    native: Native | undefined,
    scale: number,
    libraries: readonly string[],
    places: [string, string],
  ) {
    this.native = native;
    this.scale = scale;
    this.#libraries = libraries;
    [this.#directory, this.#javascript] = places;
  }

  /**
   * @param libraries - Directories that hold this library in other versions.
   * @param withNative - False does without a compiler.
   */
  static async open(scale: number, libraries: readonly string[] = [], withNative = true): Promise<Lab> {
    libraries.forEach(libraryIn);
    const directory = mkdtempSync(join(tmpdir(), 'benchmarks-'));
    const native = withNative ? await compileNative(directory) : undefined;
    return new Lab(native, scale, libraries, [directory, await compiledRoot()]);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** This library, as it is and in its other versions, by the names that it has in the tables. */
  ours(client: 'ours' | 'pooled' = 'ours', options?: Who['options']): { readonly name: string; readonly who: Who }[] {
    return [this.#javascript, ...this.#libraries].map((library, index) => ({
      name: index === 0 ? 'ours' : `ours@${library}`,
      who: { client, library, ...(options && { options }) },
    }));
  }

  /** So many, as the scale has it: at least one. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count * this.scale));
  }

  /** The same of what comes first and is not measured: its code has to be compiled by then, however little is measured. */
  warmUp(count: number): number {
    return Math.max(1, Math.round(count * Math.min(1, 4 * this.scale)));
  }

  /** Runs a client of a fresh peer to its end, and returns its figures. */
  async measure<T extends Figures>(wish: Wish, transport: 'tcp' | 'unix' = 'tcp'): Promise<T> {
    const peer = await this.peer(transport);
    try {
      const task = JSON.stringify({ ...wish, place: peer.place });
      return await this.run<T>([process.execPath, '--expose-gc', this.script('client/process'), task]);
    } finally {
      await peer.end();
    }
  }

  /** Runs the native client. */
  async measureNative<T extends Figures>(args: readonly (string | number)[], transport: 'tcp' | 'unix'): Promise<T> {
    const peer = await this.peer(transport);
    try {
      return await this.run<T>([this.native!.client, where(peer.place), ...args.map(String)]);
    } finally {
      await peer.end();
    }
  }

  peer(transport: 'tcp' | 'unix'): Promise<Peer> {
    return Peer.start(this.native, transport === 'unix' ? join(this.#directory, `${++this.#sockets}.sock`) : undefined);
  }

  /** A program of the benchmarks, as JavaScript. */
  script(name: string): string {
    return join(this.#javascript, 'benchmarks', `${name}.js`);
  }

  /** Runs a command to its end, and returns what it prints. */
  async run<T>([program, ...args]: readonly string[]): Promise<T> {
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const stop = () => void child.kill('SIGKILL');
    process.once('exit', stop);
    const timer = setTimeout(stop, PATIENCE);
    try {
      let [said, complaint] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
      const ending = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
      // `as`: written by the programs of this folder.
      if (ending === 0) return JSON.parse(said) as T;
      if (ending === 'SIGKILL') throw new Error(`it was not done within ${PATIENCE / 1_000} s`);
      throw new Error(`it ended with ${String(ending)}${reason(complaint)}`);
    } finally {
      clearTimeout(timer);
      process.off('exit', stop);
      await kill(child);
    }
  }
}

function where(place: Place): string {
  return 'path' in place ? place.path : String(place.port);
}

/** The line of a stack that says what it is about. */
function reason(complaint: string): string {
  const line = /^\w*Error.*/m.exec(complaint)?.[0] ?? complaint.trim().split('\n').at(-1)!;
  return line === '' ? '' : `: ${line}`;
}

/** The other libraries, by their names in the tables. */
export const peers: readonly { readonly name: string; readonly client: ClientName }[] = [
  { name: 'connman', client: 'connman' },
  { name: 'reconnect-net', client: 'reconnectNet' },
  { name: 'net-socket', client: 'netSocket' },
  { name: 'net-socket-reconnect', client: 'netSocketReconnect' },
];
