import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FaultProxy } from 'reconnecting-connection/testing';

import { type Certificates, loadCertificates } from '../../kit/certificates';
import { track } from '../../kit/clean-up';
import { block } from '../../kit/connections';
import { until } from '../../kit/until';
import { type DeafServer, startDeaf } from '../cases/deaf';
import { type Case, type Lab, within } from '../lab';
import { type Observation, Cell, Thrown } from './cell';
import { enter } from './enter';
import { strike } from './faults';
import { Peer } from './peer';
import {
  type Fault,
  type Outcome,
  type State,
  type Transport,
  LINE_FAULTS,
  SINGLE_FAULTS,
  STATES,
  TRANSPORTS,
  expected,
} from './table';
import { FROZEN } from './tuning';

/** Milliseconds in which a cell comes to its outcome. A dial that is not answered is repeated after 1 s, and 3 s. */
const DEADLINE = 12_000;
/** Milliseconds after the outcome in which nothing more may come. */
const A_WHILE = 50;
/** Faults at a time: on a machine that is busy with all of them, timers would be late. */
const LANES = 4;

/** What all cells of a transport share. */
export interface Ground {
  readonly transport: Transport;
  readonly certificates: Certificates;
  readonly deaf: DeafServer;
  /** A path for a Unix socket. */
  readonly path: () => string;
}

type Grid = Partial<Record<State, Partial<Record<Fault, Outcome>>>>;

/** Every state meets every fault over one transport: each ends with the events and in the state that the table names. */
export const states: readonly Case[] = TRANSPORTS.map((transport) => ({
  id: `states-${transport}`,
  title: `over ${transport} every fault in every state has its outcome, and leaves nothing behind`,
  needs: ['own'],
  limit: 120_000,
  run: (lab) => play(lab, transport),
}));

async function play(lab: Lab, transport: Transport): Promise<void> {
  lab.expectsFaults = true;
  const ground = await groundOf(transport);
  const played: Grid = {};
  /** Waits for the outcomes of all before any is ended: those that should see nothing of a fault are watched as long. */
  const keep = async (cells: readonly Cell[]) => {
    await Promise.all(cells.map(arrival));
    await new Promise((resolve) => setTimeout(resolve, A_WHILE));
    await Promise.all(
      cells.map(async (cell) => ((played[cell.state] ??= {})[cell.fault] = await finish(cell, lab.surfaced))),
    );
  };

  const waiting = [...SINGLE_FAULTS];
  const lane = async () => {
    for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
      await keep(await Promise.all(statesOf(transport, fault).map((state) => playAlone(ground, state, fault))));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));

  // A bound that is to pass while the process stands still must not pass before: cells with one come last.
  const timed = new Set<State>(['resolving', 'hook', 'backoff', 'closing']);
  const frozen = statesOf(transport, 'freeze');
  const untimed = await Promise.all(frozen.filter((state) => !timed.has(state)).map((state) => stage(ground, state)));
  const late = await Promise.all(frozen.filter((state) => timed.has(state)).map((state) => stage(ground, state)));
  for (const cell of [...untimed, ...late]) void strike.freeze(cell);
  block(FROZEN);
  await keep([...untimed, ...late]);

  assert.deepEqual(played, gridOf(transport));
  assert.deepEqual(
    lab.surfaced.filter((error) => !(error instanceof Thrown)),
    [],
  );
}

async function groundOf(transport: Transport): Promise<Ground> {
  const directory = mkdtempSync(join(tmpdir(), 'states-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  let paths = 0;
  return {
    transport,
    certificates: await loadCertificates(),
    deaf: await startDeaf(placeOf(transport)),
    path: () => join(directory, String((paths += 1))),
  };
}

function placeOf(transport: Transport): { readonly host: string } {
  return { host: transport === 'tcp6' ? '::1' : '127.0.0.1' };
}

/** The states that a fault can meet. */
function statesOf(transport: Transport, fault: Fault): State[] {
  return STATES.filter((state) => expected(transport, state, fault) !== undefined);
}

function gridOf(transport: Transport): Grid {
  const row = (state: State) =>
    [...SINGLE_FAULTS, 'freeze' as const].flatMap((fault) => {
      const outcome = expected(transport, state, fault);
      return outcome === undefined ? [] : [[fault, outcome] as const];
    });
  const rows = STATES.map((state) => [state, Object.fromEntries(row(state))] as const);
  return Object.fromEntries(rows.filter(([, cells]) => Object.keys(cells).length > 0));
}

/** Brings a connection into a state, and does to it what the fault is. */
async function playAlone(ground: Ground, state: State, fault: Fault): Promise<Cell> {
  const cell = await stage(ground, state, fault);
  // At once, while a wait that is to be met has not gone by.
  await within(Promise.resolve(strike[fault](cell)), `the fault ${cell.name}`, DEADLINE);
  return cell;
}

/** A connection in a state. */
async function stage(ground: Ground, state: State, fault: Fault = 'freeze'): Promise<Cell> {
  const { transport, certificates, path } = ground;
  const peer = await Peer.start(transport, certificates.server, path());
  const { target } = peer.loopback;
  const isOfLine = LINE_FAULTS.some((each) => each === fault);
  const proxy = await FaultProxy.start({ target, ...('path' in target && { path: path() }) });
  track({ destroy: () => proxy.close() });
  const dies = state === 'tcp' && (fault === 'server killed' || fault === 'server restarted');
  const deaf = dies ? await startDeaf(placeOf(transport)) : ground.deaf;
  const dialled = state === 'tcp' ? deaf.target : isOfLine ? proxy.target : target;
  const cell = new Cell(state, fault, ground, { peer, deaf, proxy, target: dialled });
  await within(Promise.resolve(enter[state](cell)), `the state of ${cell.name}`, DEADLINE);
  // What is due in a silence may be due already on a busy machine.
  if (fault !== 'silence' || cell.socket !== undefined) cell.forget();
  return cell;
}

/** Waits until a cell has its outcome. One that never has shows in the observation. */
async function arrival(cell: Cell): Promise<void> {
  const { connection, fault, state, ground } = cell;
  const outcome = expected(ground.transport, state, fault)!;
  const isThere = () => connection.state === outcome.state && cell.events.join() === outcome.events.join();
  await until(isThere, { deadline: DEADLINE }).catch(() => undefined);
}

/** Ends a cell and its servers. */
async function finish(cell: Cell, surfaced: readonly unknown[]): Promise<Observation> {
  const { peer, proxy } = cell;
  const observation = await cell.end(surfaced);
  await proxy.close();
  await until(() => peer.isAlone(), { what: () => `${cell.name}: the server has a connection left` });
  return observation;
}
