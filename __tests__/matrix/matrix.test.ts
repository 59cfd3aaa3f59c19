import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { compiled } from '../kit/compiled';
import '../kit/loopback';
import { expected } from './expected';
import { FAULTS, STATES, type State, TRANSPORTS, type Transport } from './names';
import type { Report } from './process';

// Every state of the machine meets every fault, over every transport, with real sockets. The cells of a transport are
// played in a process of its own, where nothing but they can leave something behind. MATRIX=all plays all transports.

/** Three that differ most, unless all are asked for. */
const PLAYED: readonly Transport[] = process.env['MATRIX'] === 'all' ? TRANSPORTS : ['tcp4', 'unix', 'tls1.3'];

const reports = new Map<Transport, Report>();

beforeAll(async () => {
  const program = await compiled('matrix/process');
  const waiting = [...PLAYED];
  // Three at a time: most of what they do is wait.
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      reports.set(next, await play(next, program));
  };
  await Promise.all([lane(), lane(), lane()]);
}, 500_000);

async function play(transport: Transport, program: string): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'matrix-'));
  try {
    const options = { timeout: 150_000, maxBuffer: 16 * 1_048_576 };
    const { stdout } = await promisify(execFile)(process.execPath, [program, transport, directory], options);
    // `as`: it says nothing else.
    return JSON.parse(stdout) as Report;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What is expected of the cells of a row, those that cannot be left out. */
function rowOf(transport: Transport, state: State): object {
  const cells = FAULTS.map((fault) => [fault, expected(transport, state, fault)] as const);
  return Object.fromEntries(cells.filter(([, expectation]) => 'state' in expectation));
}

describe.each(PLAYED)('over %s', (transport) => {
  const possible = STATES.filter((state) => Object.keys(rowOf(transport, state)).length > 0);

  test.each(possible)('a connection that is %s ends where it should, whatever happens', (state) => {
    expect(reports.get(transport)?.cells[state]).toEqual(rowOf(transport, state));
  });

  test('nothing is left behind: no handle, no timer, no socket, no listener, no exception', () => {
    expect(reports.get(transport)?.left).toEqual([]);
  });
});

test('a cell that is left out has its reason', () => {
  for (const transport of TRANSPORTS) {
    const cells = STATES.flatMap((state) => FAULTS.map((fault) => expected(transport, state, fault)));
    const reasons = cells.flatMap((cell) => ('impossible' in cell ? [cell.impossible] : []));
    expect(reasons.every((reason) => reason.length > 10)).toBe(true);
    expect(cells.length - reasons.length).toBeGreaterThan(130);
  }
});
