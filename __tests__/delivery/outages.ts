import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { kill, trackProcess } from '../kit/clean-up';
import { compiled } from '../kit/compiled';
import { FaultProxy } from '../kit/fault-proxy';
import { freePort } from '../kit/ports';
import { Random } from '../kit/random';
import { RealServer } from '../kit/real-servers';
import { until } from '../kit/until';
import type { Finding } from '../soak/measure';

/** How messages are shipped: to rsyslog, or to a server that says what it has. */
export type Protocol = 'relp' | 'lines';

/** How often each kind of outage comes. */
const KINDS = { 'link cut': 4, 'path killed': 2, 'server killed': 2, 'client killed': 2 };
/** More bytes than ever come. */
const NEVER = Number.MAX_SAFE_INTEGER;
/** Milliseconds for one step on a machine with much else to do. */
const PATIENCE = 120_000;

/** Ships so many messages through so many outages, and compares what arrived. */
export async function ship(protocol: Protocol, messages: number, outages: number, seed: number): Promise<Finding> {
  const directory = mkdtempSync(join(tmpdir(), 'shipper-'));
  const random = new Random(seed);
  const server = protocol === 'relp' ? await Rsyslog.start() : await LineServer.start(join(directory, 'messages'));
  let proxy = await FaultProxy.start(server.target);
  const { port } = proxy;
  const step = Math.ceil(messages / outages / 10);
  const shipper = new Shipper([protocol, String(port), join(directory, 'spool'), String(messages), String(step)]);
  const counts: Record<string, number> = {};

  const faults: Record<keyof typeof KINDS, () => Promise<unknown>> = {
    'link cut': async () => {
      const how = random.of(['end', 'reset'] as const);
      await proxy.cutAfter(random.integer(1, 3_000), how, random.of(['toTarget', 'toClient', 'both'] as const));
      await wait(random.integer(1, 50));
      await proxy.cutAfter(NEVER, 'end');
      await proxy.cut(how);
    },
    'path killed': async () => {
      await proxy.signal('SIGKILL');
      await wait(random.integer(1, 50));
      proxy = await listening(() => FaultProxy.start(server.target, { port, host: '127.0.0.1' }));
    },
    'server killed': () => server.bounce(),
    'client killed': () => shipper.bounce(),
  };
  try {
    shipper.start();
    for (let outage = 0; outage < outages; outage++) {
      const from = Math.floor((outage * messages) / (outages + 1)) + random.integer(0, messages / outages / 2);
      await until(() => shipper.acknowledged >= from, { deadline: PATIENCE, what: () => `${shipper.acknowledged}` });
      const kind = random.weighted(KINDS);
      counts[kind] = (counts[kind] ?? 0) + 1;
      await faults[kind]();
    }
    await until(() => shipper.isDone, { deadline: PATIENCE, what: () => `${shipper.acknowledged} of ${messages}` });
    const found = compare(readFileSync(server.file, 'latin1'), messages);
    return { ...found, figures: { messages, outages, ...found.figures, ...counts } };
  } finally {
    await shipper.destroy();
    await proxy.destroy();
    await server.destroy();
    rmSync(directory, { recursive: true });
  }
}

/** What arrived, line by line. A message that came only after a later one counts as lost. */
function compare(text: string, messages: number): Finding {
  const figures = { lost: 0, duplicates: 0 };
  const problems: string[] = [];
  let next = 1;
  for (const line of text.split('\n').slice(0, -1)) {
    const number = Number(/^message (\d+)$/.exec(line)?.[1]);
    if (Number.isNaN(number)) problems.push(`It has the line ${JSON.stringify(line)}`);
    else if (number < next) figures.duplicates += 1;
    else {
      figures.lost += number - next;
      next = number + 1;
    }
  }
  figures.lost += messages + 1 - next;
  if (figures.lost > 0) problems.push(`${figures.lost} messages are lost or out of order`);
  return { figures, problems };
}

/** The client, in one process after another. */
class Shipper {
  /** How many messages are acknowledged, as the client says. */
  acknowledged = 0;
  isDone = false;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(args: readonly string[]) {
    this.#args = args;
  }

  start(): void {
    void this.#start();
  }

  async bounce(): Promise<void> {
    if (this.#child !== undefined) await kill(this.#child);
    await this.#start();
  }

  async destroy(): Promise<void> {
    if (this.#child !== undefined) await kill(this.#child);
  }

  async #start(): Promise<void> {
    const script = await compiled('delivery/shipper-process');
    const child = spawn(process.execPath, [script, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = trackProcess(child);
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      this.acknowledged = Math.max(this.acknowledged, Number(/(\d+)\n$/.exec(text)?.[1] ?? 0));
    });
    child.on('exit', (code) => {
      if (code === 0) this.isDone = true;
    });
  }
}

/** rsyslog, and the file that it writes. */
class Rsyslog {
  readonly #server: RealServer;

  private constructor(server: RealServer) {
    this.#server = server;
  }

  static async start(): Promise<Rsyslog> {
    return new Rsyslog(await RealServer.start('rsyslog'));
  }

  get target(): { readonly host: string; readonly port: number } {
    return this.#server.target;
  }

  get file(): string {
    return join(this.#server.directory, 'messages');
  }

  async bounce(): Promise<void> {
    await this.#server.kill('SIGKILL');
    await this.#server.restart();
  }

  destroy(): Promise<void> {
    return this.#server.destroy();
  }
}

/** The server of lines, in one process after another. */
class LineServer {
  readonly target: { readonly host: string; readonly port: number };
  readonly file: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, file: string) {
    this.target = { host: '127.0.0.1', port };
    this.file = file;
  }

  static async start(file: string): Promise<LineServer> {
    const server = new LineServer(await freePort(), file);
    await server.#start();
    return server;
  }

  async bounce(): Promise<void> {
    await this.destroy();
    await listening(() => this.#start());
  }

  async destroy(): Promise<void> {
    if (this.#child !== undefined) await kill(this.#child);
  }

  async #start(): Promise<void> {
    const script = await compiled('delivery/line-server-process');
    const child = spawn(process.execPath, [script, String(this.target.port), this.file], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child = trackProcess(child);
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error('The server of lines has ended'))),
    ]);
  }
}

/** Another socket may have the port for a moment. */
async function listening<T>(start: () => Promise<T>): Promise<T> {
  for (let left = 100; ; left--) {
    try {
      return await start();
    } catch (error) {
      if (left === 0) throw error;
      await wait(50);
    }
  }
}
