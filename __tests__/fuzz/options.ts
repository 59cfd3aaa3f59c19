import * as fc from 'fast-check';

import { type ConnectionOptions, ConnectionError, ReconnectingConnection } from '../../lib/index';
import { EchoLink } from './echo-link';
import { Faults } from './faults';
import { callWith } from './hostile-calls';
import { type Box, type Candidate, candidates } from './hostile-options';
import { openLab } from './lab';

/** What came of a run. */
export interface OptionsReport {
  readonly seed: number;
  readonly candidates: number;
  /** Passed construction. */
  readonly valid: number;
  /** Threw `ERR_INVALID_OPTION`, naming an option. */
  readonly refused: number;
  /** Of the valid: opened a session through a stream in memory, and had their echo. */
  readonly opened: number;
  /** Of the valid: the same over TCP, TLS or a Unix socket. */
  readonly connected: number;
  /** Sockets and timers that were left when all was over. */
  readonly left: readonly string[];
  readonly faults: number;
  readonly lines: readonly string[];
}

/** Candidates of one seed. A batch is replayed by its own seed and this count. */
export const BATCH = 500;

/** How long a connection may take to do what it must. */
const PATIENCE = 10_000;

/**
 * Makes connections of generated options. Each either throws `ERR_INVALID_OPTION` naming an option, or gives a
 * connection: one with nothing wrong has to open and to echo.
 */
export async function fuzzOptions(
  count: number,
  seed: number,
  extra: readonly Candidate[] = [],
): Promise<OptionsReport> {
  const faults = new Faults().watchProcess();
  const lab = await openLab();
  const arbitrary = candidates(lab, () => new EchoLink());
  const sums = { candidates: 0, valid: 0, refused: 0, opened: 0, connected: 0 };
  for (let done = 0, batch = seed; done < count; done += BATCH, batch++) {
    const sample = fc.sample(arbitrary, { seed: batch, numRuns: Math.min(BATCH, count - done) });
    const outcomes = await Promise.all(
      [...sample, ...(done === 0 ? extra : [])].map(async (candidate) => {
        try {
          return await outcomeOf(candidate);
        } catch (error) {
          faults.add(`--options ${BATCH} --seed ${batch}`, { error, candidate });
          return 'fault';
        }
      }),
    );
    for (const outcome of outcomes) {
      sums.candidates += 1;
      if (outcome === 'refused') sums.refused += 1;
      else if (outcome !== 'fault') sums.valid += 1;
      if (outcome === 'opened' || outcome === 'connected') sums[outcome] += 1;
    }
  }
  await lab.close();
  // Node closes its handles in turns of the event loop that follow.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const left = process.getActiveResourcesInfo().filter((each) => /Timeout|TCP|Pipe(?!Wrap$)|TLS|GetAddr/.test(each));
  return { seed, ...sums, left, faults: faults.count, lines: faults.lines };
}

type Outcome = 'refused' | 'valid' | 'opened' | 'connected';

async function outcomeOf(candidate: Candidate): Promise<Outcome> {
  const { options, kind, argument } = candidate;
  let connection: ReconnectingConnection;
  try {
    // `as`: whether they are options, or a URL, is the question.
    connection =
      'url' in candidate
        ? new ReconnectingConnection(candidate.url as string, options as ConnectionOptions)
        : new ReconnectingConnection(options as ConnectionOptions);
  } catch (error) {
    if (kind !== 'may') throw error;
    checkRefusal(error);
    return 'refused';
  }
  try {
    if (kind === 'may') {
      if (hasOwnDial(options)) await exercise(connection, argument);
      return 'valid';
    }
    await echo(connection, argument);
    return kind === 'opens' ? 'opened' : 'connected';
  } finally {
    connection.destroy();
    if (connection.state !== 'closed') throw new Error(`destroy() left the state ${connection.state}`);
  }
}

function checkRefusal(error: unknown): void {
  const named =
    error instanceof ConnectionError &&
    /option `.*`|the options|the URL|a URL|the second argument/s.test(error.message);
  if (!named || error.code !== 'ERR_INVALID_OPTION') throw error;
}

/** Whether it dials in memory only. Any other that a change was made to must not dial: it might lead anywhere. */
function hasOwnDial(options: unknown): boolean {
  return typeof options === 'object' && options !== null && Object.hasOwn(options, 'dial');
}

async function exercise(connection: ReconnectingConnection, argument: Box | undefined): Promise<void> {
  connection.connect();
  connection.write('x', () => {});
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
  if (argument !== undefined) callWith(connection, argument.value);
  connection.reconnect();
}

/** How it may end where `fail()` was called: its options may let it give up. */
const ENDS: readonly string[] = ['disconnected', 'max-retries', 'max-elapsed', 'not-retryable', 'backoff-ended'];

/** Opens it, writes, waits for the echo, disconnects. */
async function echo(connection: ReconnectingConnection, argument: Box | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`No echo in state ${connection.state}`)), PATIENCE);
  });
  try {
    connection.connect();
    await Promise.race([late, connection.whenOpen()]);
    const echoed = new Promise<void>((resolve) => {
      connection.on('data', () => resolve());
      connection.on('message', () => resolve());
    });
    connection.write('x');
    await Promise.race([late, echoed]);
    if (argument !== undefined) callWith(connection, argument.value);
    const { reason } = await Promise.race([late, connection.disconnect()]);
    const ends = argument === undefined ? ['disconnected'] : ENDS;
    if (!ends.includes(reason)) throw new Error(`disconnect() ended with ${reason}`);
  } finally {
    clearTimeout(timer);
  }
}
