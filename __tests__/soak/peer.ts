import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import type { ConnectionOptions } from 'reconnecting-connection';

/** What a server in another process does to its clients. */
export interface PeerWish {
  readonly how:
    /** Sends nothing and reads everything. */
    | 'hold'
    /** Never reads. */
    | 'mute'
    /** Ends, or resets, every connection as soon as it is there. */
    | 'end-at-once'
    | 'reset-at-once'
    /** Ends, or resets, every connection when its first byte has come. */
    | 'end'
    | 'reset'
    /** Sends as fast as it can, and resets after so many bytes where `cutAfter` is set. */
    | 'flood';
  readonly cutAfter?: number;
  /** A Unix socket, in place of a port. */
  readonly path?: string;
  /** Speaks TLS; or shows a certificate that the client will not trust. */
  readonly tls?: 'trusted' | 'untrusted';
}

/** A server in a process of its own, so that neither its memory nor its handles are taken for ours. */
export class Peer {
  readonly #child: ChildProcess;
  /** Options of a connection to it. */
  readonly target: ConnectionOptions;

  private constructor(child: ChildProcess, target: ConnectionOptions) {
    this.#child = child;
    this.target = target;
  }

  static async start(wish: PeerWish): Promise<Peer> {
    const child = spawn(process.execPath, [join(__dirname, 'peer-process.js'), JSON.stringify(wish)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    // A process that was stopped would not notice that this one is gone.
    process.once('exit', () => child.kill('SIGKILL'));
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    child.stdout.destroy();
    // `as`: that is what a peer says first.
    return new Peer(child, JSON.parse(line) as ConnectionOptions);
  }

  /** Stops the whole process: its kernel still accepts, and nobody reads. */
  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
    // A Unix socket stays behind when its server is killed.
    if (this.target.path !== undefined) rmSync(this.target.path, { force: true });
  }
}
