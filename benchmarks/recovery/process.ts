import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Interface, createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { kill } from '../../__tests__/kit/clean-up';
import { type Recovered, type RecoveryTask, now } from '../client/recovery';
import type { Who } from '../client/task';
import { type Dials, dials, lastingPort } from './kernel';

// node process.js WISH: kills a server under its clients, starts it again, and prints as JSON how they came back. It is
// best run in a private network, for what it counts is what the kernel counts of the whole network.

/** What happened between the end of the server and the moment when its last client was back. */
export interface Recovery {
  /** Milliseconds from when the server listened again until so many of the clients were served. */
  readonly half?: number;
  readonly most?: number;
  readonly all?: number;
  /** Clients that were never served again. */
  readonly lost: number;
  /** Dials for each client, those that were refused while there was no server among them. */
  readonly attempts: number;
  /** The most dials in a second, of which this looks at tenths. */
  readonly peak: number;
  /** Packets of dials that were sent again, for nobody had answered. */
  readonly repeated: number;
  /** Milliseconds of the processor. */
  readonly cpu: number;
  /** Milliseconds without a server. */
  readonly outage: number;
}

export interface RecoveryWish {
  readonly who: Who;
  readonly count: number;
  /** Milliseconds from the end of the server to the start of another. */
  readonly outage: number;
}

const WINDOW = 100;

class Rate {
  readonly #start: Dials = dials();
  readonly #timer = setInterval(() => this.#look(), WINDOW);
  #last = this.#start.begun;
  peak = 0;

  end(): Dials {
    this.#look();
    clearInterval(this.#timer);
    const { begun, repeated } = dials();
    return { begun: begun - this.#start.begun, repeated: repeated - this.#start.repeated };
  }

  #look(): void {
    const { begun } = dials();
    this.peak = Math.max(this.peak, (begun - this.#last) * (1_000 / WINDOW));
    this.#last = begun;
  }
}

async function recovery({ who, count, outage }: RecoveryWish): Promise<Recovery> {
  const port = await lastingPort();
  const server = start('server-process', String(port));
  await line(server.lines);
  const task: RecoveryTask = { work: 'recovery', count, place: { port, host: '127.0.0.1' }, ...who };
  const clients = start('../client/process', JSON.stringify(task));
  await line(clients.lines);

  const rate = new Rate();
  await kill(server.child);
  const endedAt = now();
  await sleep(outage);
  const another = start('server-process', String(port));
  const listenedAt = Number(await line(another.lines));
  // `as`: so it says when it is done.
  const { lost, cpu, ...times } = JSON.parse(await line(clients.lines)) as Recovered;
  const { begun, repeated } = rate.end();
  await kill(another.child);
  return {
    ...Object.fromEntries(Object.entries(times).map(([name, time]) => [name, time - listenedAt])),
    lost,
    attempts: begun / count,
    peak: rate.peak,
    repeated,
    cpu: cpu / 1e3,
    outage: listenedAt - endedAt,
  };
}

function start(program: string, argument: string): { readonly child: ChildProcess; readonly lines: Interface } {
  const child = spawn(process.execPath, [join(__dirname, `${program}.js`), argument], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  // Without its line, whoever waits for it would wait for ever.
  child.on('exit', (code) => {
    if (code !== null && code !== 0) process.exit(code);
  });
  return { child, lines };
}

async function line(lines: Interface): Promise<string> {
  const [text] = (await once(lines, 'line')) as [string];
  return text;
}

// It goes when its parent does.
process.stdin.resume().on('end', () => process.exit());

// `as`: written by the subject.
void recovery(JSON.parse(process.argv[2]!) as RecoveryWish).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
