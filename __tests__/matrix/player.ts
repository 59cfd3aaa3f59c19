import { join } from 'node:path';

import type { Certificates } from '../kit/certificates';
import { block } from '../kit/connections';
import { FaultProxy } from '../kit/fault-proxy';
import { until } from '../kit/until';
import { type Observation, Cell } from './cell';
import { type Reachable, expected } from './expected';
import { strike, strikeLine } from './faults';
import { FullListener } from './full-listener';
import {
  type Fault,
  type LineFault,
  type OwnFault,
  type State,
  type Transport,
  FREEZE,
  OWN_FAULTS,
  STATES,
} from './names';
import { Peer } from './peer';
import { enter } from './states';
import type { Timers } from './timers';
import { type Place, FROZEN } from './tuning';

/** Until when a cell must have come to where it is expected. A dial that nobody answers is repeated after 1 s, and 3 s. */
const DEADLINE = 12_000;
/** After this, nothing more must have come. */
const A_WHILE = 50;
/** Milliseconds by which bytes come later, so that they are under way when the process stops. */
const LATENCY = 200;

/** A cell that was played, and how it stood before it was ended. */
export interface Played {
  readonly cell: Cell;
  readonly observation: Observation;
}

/** Plays the cells of one transport. */
export class Player {
  readonly #transport: Transport;
  readonly #certificates: Certificates;
  readonly #directory: string;
  readonly #timers: Timers;
  #line!: { readonly peer: Peer; readonly proxy: FaultProxy };
  #full!: FullListener;
  #paths = 0;

  constructor(transport: Transport, certificates: Certificates, directory: string, timers: Timers) {
    this.#transport = transport;
    this.#certificates = certificates;
    this.#directory = directory;
    this.#timers = timers;
  }

  /** Starts what the cells share. */
  async start(): Promise<void> {
    this.#full = await FullListener.start(this.#host);
    const peer = await this.#peer();
    const at = this.#transport === 'unix' ? { path: this.#path() } : { port: 0, host: this.#host };
    this.#line = { peer, proxy: await FaultProxy.start(peer.loopback.target, at) };
  }

  /** Plays the cells that are alone with their servers; those of one fault at the same time. */
  async playOwn(): Promise<Played[]> {
    const played: Played[] = [];
    // A few at a time: a machine that is busy with all of them would be late for what is timed.
    const waiting = [...OWN_FAULTS];
    const lane = async () => {
      for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
        played.push(...(await this.#playAlone(fault)));
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    return played;
  }

  #playAlone(fault: OwnFault): Promise<Played[]> {
    return Promise.all(
      this.#possible(fault).map(async (state) => {
        const peer = await this.#peer();
        const dies = state === 'tcp' && (fault === 'server killed' || fault === 'server restarted');
        const full = dies ? await FullListener.start(this.#host) : this.#full;
        const cell = this.#cell(state, fault, peer, (state === 'tcp' ? full : peer.loopback).target);
        const work = async () => {
          await enter[state](cell);
          // What is due in a silence may be due already where the machine has much else to do.
          if (fault !== 'silence' || cell.socket !== undefined) cell.forget();
          // At once, while a wait that is to be met has not gone by.
          await strike[fault](cell, full);
        };
        await inTime(cell, () => this.#timers.run(cell, work));
        const [played] = await this.#finish([cell]);
        await until(() => peer.isAlone(), { what: () => `${cell.name}: the server has a connection left` });
        await peer.loopback.destroy();
        if (dies) await full.destroy();
        return played!;
      }),
    );
  }

  /** Plays the cells of one fault of the line. */
  async playLine(fault: LineFault): Promise<Played[]> {
    const { peer, proxy } = this.#line;
    const cells = await this.#enterAll(fault, this.#possible(fault));
    await strikeLine[fault](proxy, cells);
    const played = await this.#finish(cells);
    await proxy.cut('end');
    await proxy.clear();
    await until(() => peer.isAlone(), { what: () => `${fault}: the server has a connection left` });
    return played;
  }

  /** Plays the cells with which the whole process stands still. */
  async playFreeze(): Promise<Played[]> {
    const { peer, proxy } = this.#line;
    // What is due in a freeze must not be due before it: those whose time runs from the start come last.
    const timed = new Set<State>(['resolving', 'hook', 'backoff', 'closing']);
    const states = this.#possible(FREEZE).sort((one, other) => Number(timed.has(one)) - Number(timed.has(other)));
    const cells = await this.#enterAll(FREEZE, states);
    await proxy.set({ latency: LATENCY });
    await Promise.all(cells.map(async (cell) => strike.freeze(cell, this.#full)));
    block(FROZEN);
    const played = await this.#finish(cells);
    await proxy.cut('end');
    await proxy.clear();
    await until(() => peer.isAlone(), { what: () => 'freeze: the server has a connection left' });
    return played;
  }

  get #host(): string {
    return this.#transport === 'tcp6' ? '::1' : '127.0.0.1';
  }

  /** States in which a cell of `fault` can be. */
  #possible(fault: Fault): State[] {
    return STATES.filter((state) => 'state' in expected(this.#transport, state, fault));
  }

  #path(): string {
    this.#paths += 1;
    return join(this.#directory, String(this.#paths));
  }

  #peer(): Promise<Peer> {
    return Peer.start(this.#transport, this.#certificates.server, this.#path());
  }

  #cell(state: State, fault: Fault, peer: Peer, target: Place['target']): Cell {
    const place = { transport: this.#transport, target, ca: this.#certificates.ca.cert };
    return new Cell(state, fault, place, peer);
  }

  /** One after the other, so that both ends of each are known. */
  async #enterAll(fault: Fault, states: readonly State[]): Promise<Cell[]> {
    const { peer, proxy } = this.#line;
    const cells: Cell[] = [];
    for (const state of states) {
      const cell = this.#cell(state, fault, peer, (state === 'tcp' ? this.#full : proxy).target);
      await this.#timers.run(cell, () => enter[state](cell));
      cell.forget();
      cells.push(cell);
    }
    return cells;
  }

  /** Waits until the cells are where they should be, and ends them. */
  async #finish(cells: readonly Cell[]): Promise<Played[]> {
    await Promise.all(cells.map((cell) => arrival(cell, this.#expected(cell))));
    await new Promise((resolve) => setTimeout(resolve, A_WHILE));
    return Promise.all(
      cells.map(async (cell) => {
        const { events, connection } = cell;
        const before = [...events];
        const { state } = connection;
        if (state !== 'closed') {
          const closed = new Promise((resolve) => connection.once('close', resolve));
          connection.destroy();
          await closed;
        }
        await new Promise(setImmediate);
        cell.problems.push(...this.#timers.of(cell).map((where) => `a timer is left, set ${where}`));
        return { cell, observation: cell.observe(before, state) };
      }),
    );
  }

  #expected({ state, fault }: Cell): Reachable {
    // `as`: a cell that cannot be is not played.
    return expected(this.#transport, state, fault) as Reachable;
  }
}

/** Does `work`, and notes it when that hangs. */
async function inTime(cell: Cell, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      cell.problems.push('it hung on its way');
      resolve();
    }, DEADLINE);
  });
  await Promise.race([work(), late]);
  clearTimeout(timer);
}

/** Waits until a cell is where it should be; one that never is shows in what is observed. */
async function arrival(cell: Cell, { events, state }: Reachable): Promise<void> {
  const isThere = () => cell.connection.state === state && cell.events.join() === events.join();
  await until(isThere, { deadline: DEADLINE }).catch(() => undefined);
}
