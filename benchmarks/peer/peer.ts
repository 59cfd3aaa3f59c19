import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { kill } from '../../__tests__/kit/clean-up';
import { compiledRoot } from '../../__tests__/kit/compiled';
import type { Place } from '../client/endpoint';
import type { Native } from './native';

/** A server in a process of its own, at the other end of what is measured. See `peer.c` for what can be asked of it. */
export class Peer {
  readonly place: Place;
  readonly #child: ChildProcess;
  readonly #path: string | undefined;

  private constructor(child: ChildProcess, place: Place, path: string | undefined) {
    this.#child = child;
    this.place = place;
    this.#path = path;
  }

  /**
   * Starts the native one, or the same in Node where there is none.
   *
   * @param path - a Unix socket, in place of a port
   */
  static async start(native: Native | undefined, path?: string): Promise<Peer> {
    const [program, ...args] =
      native === undefined
        ? [process.execPath, join(await compiledRoot(), 'benchmarks/peer/peer-process.js')]
        : [native.peer];
    const child = spawn(program, path === undefined ? args : [...args, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
    child.stdout.destroy();
    return new Peer(child, path === undefined ? { port: Number(port), host: '127.0.0.1' } : { path }, path);
  }

  async end(): Promise<void> {
    await kill(this.#child);
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }
}
