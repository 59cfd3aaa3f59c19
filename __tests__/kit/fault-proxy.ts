import { type ChildProcess, fork } from 'node:child_process';

import type { Direction, Faults } from 'reconnecting-connection/testing';

import { kill, track } from './clean-up';
import { compiled } from './compiled';
import type { Methods, Place, ProxyStats, Reply } from './fault-proxy-process';
import { isStopped } from './processes';
import { until } from './until';

export type { Direction, Faults, Place, ProxyStats };

/** How a link is cut: by a FIN, or an RST. */
export type Cut = 'end' | 'reset';

/** How clients are treated: forwarded, cut at once, or accepted and never answered. */
export type Accept = 'forward' | 'blackhole' | Cut;

/** The published fault proxy in a process of its own, so that a blocked loop here does not stop it. */
export class FaultProxy {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { settle: (result: unknown) => void; fail: (error: Error) => void }>();
  #place: Place | undefined;
  #requests = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    // `as`: the other end sends nothing else.
    child.on('message', (message) => this.#onReply(message as Reply));
    child.on('exit', () => {
      for (const { fail } of this.#waiting.values()) fail(new Error('The process of the proxy has ended'));
      this.#waiting.clear();
    });
  }

  /** Starts one, at a free port of 127.0.0.1 or where `at` says. It is ended after the test. */
  static async start(target: Place, at: Place = { port: 0, host: '127.0.0.1' }): Promise<FaultProxy> {
    const child = fork(await compiled('kit/fault-proxy-process'), { execArgv: [] });
    const proxy = track(new FaultProxy(child));
    proxy.#place = await proxy.#ask('start', target, at);
    return proxy;
  }

  /** Where it listens, as options of a connection. */
  get target(): { port: number; host: string } | { path: string } {
    const place = this.#place!;
    return 'path' in place ? { path: place.path } : { port: place.port, host: place.host ?? '127.0.0.1' };
  }

  /** Its port; 0 for a Unix socket. */
  get port(): number {
    return 'port' in this.target ? this.target.port : 0;
  }

  /** Changes the faults of all links, open ones included. Faults that are not named stay as they were. */
  async set(faults: Faults, direction: Direction | 'both' = 'both'): Promise<void> {
    await this.#ask('set', faults, direction);
  }

  /** Cuts each link, open now or made later, after so many more bytes. */
  async cutAfter(bytes: number, how: Cut, counting: Direction | 'both' = 'both'): Promise<void> {
    await this.#ask('cutAfter', bytes, { how: published(how), counting });
  }

  /** How clients are treated from now on. */
  async accept(accept: Accept): Promise<void> {
    await this.#ask('clients', published(accept));
  }

  /** Takes back all faults. */
  async clear(): Promise<void> {
    await this.#ask('clear');
  }

  /** Cuts all links now. Returns how many. */
  async cut(how: Cut): Promise<number> {
    return this.#ask('cut', published(how));
  }

  /** Stops listening, so that dials are refused. Links stay open, unless `links` says how to cut them. */
  async down(links: Cut | 'keep' = 'keep'): Promise<void> {
    await this.#ask('refuse');
    if (links !== 'keep') await this.cut(links);
  }

  /** Listens again, where it did before. */
  async up(): Promise<void> {
    await this.#ask('accept');
  }

  async stats(): Promise<ProxyStats> {
    return this.#ask('stats');
  }

  /** Waits until its figures are such that `holds` is true, and returns them. */
  async until(holds: (stats: ProxyStats) => boolean, deadline?: number): Promise<ProxyStats> {
    let stats = await this.stats();
    await until(async () => holds((stats = await this.stats())), { deadline, what: () => JSON.stringify(stats) });
    return stats;
  }

  /** Stops the process, lets it go on, or kills it; resolves when that has happened. */
  async signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): Promise<void> {
    if (signal === 'SIGKILL') return kill(this.#child);
    this.#child.kill(signal);
    if (signal === 'SIGSTOP') await until(() => isStopped(this.#child));
  }

  destroy(): Promise<void> {
    return kill(this.#child);
  }

  #ask<Method extends keyof Methods>(
    method: Method,
    ...args: Parameters<Methods[Method]>
  ): Promise<Awaited<ReturnType<Methods[Method]>>> {
    const id = ++this.#requests;
    return new Promise((resolve, fail) => {
      // `as`: what comes back is what the method returned, as JSON.
      this.#waiting.set(id, { settle: (result) => resolve(result as Awaited<ReturnType<Methods[Method]>>), fail });
      this.#child.send({ id, method, args }, (error) => {
        if (error !== null) fail(error);
      });
    });
  }

  #onReply(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) waiting?.fail(new Error(`The proxy could not do it: ${reply.error}`));
    else waiting?.settle(reply.result);
  }
}

/** The published proxy's name for it. */
function published<Word extends Accept>(word: Word): 'drop' | Exclude<Word, 'end'> {
  // `as`: what is not `'end'` stays as it is, which the compiler does not conclude of a type parameter.
  return word === 'end' ? 'drop' : (word as Exclude<Word, 'end'>);
}
