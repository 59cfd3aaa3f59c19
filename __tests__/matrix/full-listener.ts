import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

import { kill, track } from '../kit/clean-up';

/** As it is before the sockets of this process are watched. */
const dial = connect;

/** More than there is room for: those that do not get in hang, as whoever dials after them does. */
const CALLERS = 5;
/** Those for whom there is room: a kernel takes one more than the backlog. */
const ROOM = 2;

/** Listens and accepts nobody, for it is blocked for good. */
const PROGRAM = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: process.argv[1], backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/** A port where dials are neither answered nor refused: the line before it is full, and nobody comes to serve. */
export class FullListener {
  readonly target: { readonly port: number; readonly host: string };
  readonly #child: ChildProcess;
  readonly #callers: Socket[];

  private constructor(child: ChildProcess, target: FullListener['target'], callers: Socket[]) {
    this.#child = child;
    this.target = target;
    this.#callers = callers;
  }

  static async start(host: string): Promise<FullListener> {
    const child = spawn(process.execPath, ['-e', PROGRAM, host], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    child.stdout.destroy();
    const target = { port: Number(said), host };
    let inside = 0;
    const callers: Socket[] = [];
    await new Promise<void>((full) => {
      for (let number = 1; number <= CALLERS; number++) {
        const caller = dial(target, () => {
          inside += 1;
          if (inside === ROOM) full();
        });
        callers.push(caller.on('error', () => undefined));
      }
    });
    return track(new FullListener(child, target, callers));
  }

  /** Dies: who dials is refused from then on. */
  async kill(): Promise<void> {
    for (const caller of this.#callers) caller.destroy();
    await kill(this.#child);
  }

  async destroy(): Promise<void> {
    await this.kill();
  }
}
