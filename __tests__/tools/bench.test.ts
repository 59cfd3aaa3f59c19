import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type Contest, type Entrant, type Figures, type Result, runContests } from '../../benchmarks/contest';
import { goalTable } from '../../benchmarks/goals';
import { Lab } from '../../benchmarks/lab';
import { arePeersInstalled } from '../../benchmarks/project';
import type { Recovery, RecoveryRun } from '../../benchmarks/recovery/process';
import { quantile, ratios, summary } from '../../benchmarks/statistics';
import { subjects } from '../../benchmarks/subjects';
import { table } from '../../benchmarks/table';
import { find } from '../kit/find-server';
import { titled } from '../kit/missing';
import { inNamespace, namespacesMissing } from '../kit/namespace';
import { javascript } from '../kit/processes';

// Each test starts many processes.
jest.setTimeout(180_000);

const PEERS_MISSING = 'npm ci --prefix benchmarks was not run';

/** The least that can be measured. */
const SCALE = 0.005;

const columns = [{ figure: 'rate', title: 'messages/s' }];

function contest(entrants: readonly Entrant[], more: Partial<Contest> = {}): Contest {
  return { subject: 'send', name: '10x64', title: 'a title', columns, entrants, ...more };
}

/** An entrant with these rates, round by round. */
function scripted(name: string, rates: readonly number[], log: string[] = []): Entrant {
  let round = 0;
  const run = () => {
    log.push(name);
    return Promise.resolve({ rate: rates[round++]! });
  };
  return { name, run };
}

function results(entrants: readonly Entrant[], rounds: number, more?: Partial<Contest>): Promise<Result[]> {
  return runContests([contest(entrants, more)], rounds, () => {});
}

describe('the figures of a table', () => {
  test.each([
    [[3, 1, 2], 0.5, 2],
    [[4, 1, 3, 2], 0.5, 2.5],
    [[5, 1, 2, 3, 4], 0.25, 2],
    [[5, 1, 2, 3, 4], 0.75, 4],
    [[7], 0.99, 7],
    [[1, Infinity, Infinity], 0.75, Infinity],
    [[1, 2, Infinity], 0.5, 2],
  ])('of %p, %d are below %d', (given, share, expected) => {
    expect(quantile(given, share)).toBe(expected);
  });

  test('an empty list has no summary', () => {
    expect(summary([])).toBeUndefined();
  });

  test('a ratio compares figures of the same round, and leaves out rounds in which one of them is missing or zero', () => {
    const base = { name: 'base', runs: [{ rate: 10 }, { rate: 20 }, { rate: 0 }] };
    const entry = { name: 'entry', runs: [{ rate: 20 }, { rate: 10 }, { rate: 5 }, { rate: 5 }] };
    expect(ratios(entry, base, 'rate')).toEqual([2, 0.5]);
    expect(ratios(entry, base, 'cpu')).toEqual([]);
  });

  test('an infinite figure is shown as never, and two of them have no ratio', async () => {
    const never = { name: 'never', runs: [{ rate: Infinity }, { rate: Infinity }] };
    const once = { name: 'once', runs: [{ rate: 5 }, { rate: Infinity }] };
    expect(ratios(once, never, 'rate')).toEqual([0]);
    expect(ratios(never, once, 'rate')).toEqual([Infinity]);
    const [result] = await results([scripted('first', [10]), scripted('never', [Infinity])], 1);
    expect(table(result!)).toContain('| never | never | ∞ |\n');
  });

  test('a row has the median, the quartiles, and the ratio to the first row', async () => {
    const entrants = [scripted('first', [100, 100, 100, 100, 100]), scripted('second', [300, 100, 200, 400, 500])];
    const [result] = await results(entrants, 5);
    expect(table(result!)).toBe(
      `|  | messages/s | × |
| --- | ---: | ---: |
| first | 100 | 1.00 |
| second | 300 (200–400) | 3.00 (2.00–4.00) |
`,
    );
  });
});

describe('runContests()', () => {
  test('begins each round with another entrant, and keeps to the most rounds of a contest', async () => {
    const log: string[] = [];
    const rates = [1, 1, 1, 1];
    await results([scripted('a', rates, log), scripted('b', rates, log), scripted('c', rates, log)], 4, { rounds: 3 });
    expect(log.join('')).toBe('abcbcacab');
  });

  test('goes on without an entrant that failed, and the table has the reason', async () => {
    const run = jest.fn<Promise<Figures>, []>().mockRejectedValue(new Error('it ended with 1'));
    const [result] = await results([scripted('sound', [10, 20]), { name: 'broken', run }], 2);
    expect(run).toHaveBeenCalledTimes(1);
    expect(result!.entries.map(({ runs }) => runs.length)).toEqual([2, 0]);
    expect(table(result!)).toContain('| broken | – | – |\n\nbroken failed: it ended with 1\n');
  });
});

test.each([
  [45, '| 4.50 | reached |'],
  [44, '| 4.40 | **not reached** |'],
])('a goal of a ratio of 4.5, with %d to 10', async (rate, verdict) => {
  const found = await results([scripted('net.Socket', [10]), scripted('ours', [rate])], 1);
  expect(goalTable(found)).toContain(`| send, 10x64: ours | messages/s | ≥ 4.50 × net.Socket ${verdict}\n`);
});

test('a goal is reached where the other entrant has an infinite figure', async () => {
  const entrants = [
    { name: 'connman', run: () => Promise.resolve({ attempts: 3, most: Infinity }) },
    { name: 'ours, in a pool', run: () => Promise.resolve({ attempts: 1.2, most: 900 }) },
  ];
  const goals = goalTable(await results(entrants, 1, { subject: 'recovery', name: '5000' }));
  expect(goals).toContain('| ≤ 0.45 × connman | connman never got there | reached |');
  expect(goals).toContain('| dials a connection | ≤ 1.15 | 1.2 | **not reached** |');
});

test('an interruption keeps the results so far, and is no failure', async () => {
  const interruption = new AbortController();
  const last = {
    name: 'last',
    run: () => {
      interruption.abort();
      return Promise.reject(new Error('it ended with SIGINT'));
    },
  };
  const [result] = await runContests([contest([scripted('first', [1, 2]), last])], 2, () => {}, interruption.signal);
  expect(result!.entries).toEqual([
    { name: 'first', runs: [{ rate: 1 }] },
    { name: 'last', runs: [] },
  ]);
});

test('the goals leave out what was not measured', async () => {
  expect(goalTable(await results([scripted('net.Socket', [10])], 1))).toBe('');
});

const isSupported = process.platform === 'linux' && find('cc') !== undefined;

(isSupported ? describe : describe.skip)(`a client${isSupported ? '' : ' (skipped: needs Linux and cc)'}`, () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open(SCALE);
  });
  afterAll(() => lab.close());

  /** The figures of a contest's entrants; `others` are the libraries that may not be installed. */
  async function figures(subject: string, name: string, others = false): Promise<ReadonlyMap<string, Figures>> {
    const found = subjects[subject]!(lab).find((each) => each.name === name)!;
    const asked = found.entrants.filter(
      (entrant) => /^(?:net\.Socket|ours|a client in C)/.test(entrant.name) !== others,
    );
    const ran = await Promise.all(asked.map(async (entrant) => [entrant.name, await entrant.run()] as const));
    return new Map(ran);
  }

  /** Expects the bytes of a flood, less the rest of the last chunk of the warm-up. */
  function expectFlood(all: ReadonlyMap<string, Figures>, entrants: readonly string[]) {
    expect([...all.keys()].sort()).toEqual([...entrants].sort());
    const sent = lab.scaled(1_024 * 1_048_576);
    for (const { bytes, rate, cpu } of all.values()) {
      expect(bytes).toBeGreaterThan(sent - 262_144);
      expect(bytes).toBeLessThanOrEqual(sent);
      expect(rate).toBeGreaterThan(0);
      expect(cpu).toBeGreaterThanOrEqual(0);
    }
  }

  const receivers = ['net.Socket', 'ours', 'ours, reuseReadBuffer', 'ours, idleTimeout', 'a client in C'];

  test.each(['tcp', 'unix'])('receives a flood over %s', async (transport) => {
    expectFlood(await figures('receive', `bulk-${transport}`), receivers);
  });

  test.each(['tcp', 'unix'])('receives each small segment as one event over %s', async (transport) => {
    const all = await figures('receive', `small-${transport}`);
    expect([...all.keys()].sort()).toEqual([...receivers].sort());
    const events = 128 * lab.scaled(500);
    for (const found of all.values()) expect(found).toMatchObject({ events, bytes: 64 * events });
  });

  test('sends messages that all arrive, and counts its system calls', async () => {
    const all = await figures('send', '10x64');
    expect(all.size).toBe(8);
    for (const [name, { messages = 0, bytes, rate, writes }] of all) {
      expect(messages).toBeGreaterThan(0);
      expect(messages % 10).toBe(0);
      expect(bytes).toBe(64 * messages);
      expect(rate).toBeGreaterThan(0);
      // A few belong to the measurement.
      const calls = /corked|all in one|ours/.test(name) ? 1 : 10;
      expect(writes).toBeGreaterThanOrEqual(calls);
      expect(writes).toBeLessThan(calls + 0.5);
    }
  });

  test.each(['1', '32'])('has all requests answered, %s in flight', async (inFlight) => {
    const all = await figures('round-trip', inFlight);
    expect([...all.keys()]).toEqual(['net.Socket', 'net.Socket, corked by hand', 'ours']);
    const requests = lab.scaled(inFlight === '1' ? 12_000 : 80_000);
    for (const found of all.values()) {
      expect(found).toMatchObject({ requests });
      expect(found['p50']).toBeGreaterThan(0);
      expect(found['p99']).toBeGreaterThanOrEqual(found['p50']!);
    }
  });

  test('takes memory while it is open and while it waits', async () => {
    const all = await figures('memory', 'idle');
    expect([...all.keys()]).toEqual(['net.Socket', 'ours', 'ours, in a pool']);
    for (const found of all.values()) {
      expect(found).toMatchObject({ count: 500 });
      expect(found['openHeap']).toBeGreaterThan(0);
      expect(found['waitingHeap']).toBeGreaterThan(0);
    }
  });

  test('opens as many sessions as are reset', async () => {
    const all = await figures('cycle', 'reset');
    expect(all.size).toBe(4);
    for (const found of all.values()) expect(found).toMatchObject({ cycles: lab.scaled(6_000) });
  });

  const missing = arePeersInstalled() ? undefined : PEERS_MISSING;

  (missing === undefined ? test : test.skip)(titled('another library can be measured', missing), async () => {
    const names = ['connman', 'reconnect-net', 'net-socket', 'net-socket-reconnect'];
    expectFlood(await figures('receive', 'bulk-tcp', true), names);
    for (const [subject, name] of [
      ['send', '10x64'],
      ['round-trip', '32'],
      ['memory', 'idle'],
    ] as const) {
      expect([...(await figures(subject, name, true)).keys()]).toEqual(names);
    }
    expect((await figures('cycle', 'reset', true)).size).toBe(3);
    // A hop is a difference of two times, which in so short a run may be less than nothing.
    for (const { time } of (await figures('small', 'ours', true)).values()) expect(Number.isFinite(time)).toBe(true);
  });
});

test.each(['bare', 'ours', 'pooled'] as const)(
  'recovery: %s is served again after its server was killed, and the kernel counts the dials',
  async (client) => {
    const library = await javascript();
    const run: RecoveryRun = { client, library, count: 20, outage: 50 };
    const command = [process.execPath, join(library, 'benchmarks/recovery/process.js'), JSON.stringify(run)];
    const [program, ...args] = namespacesMissing() === undefined ? inNamespace(command) : command;
    const { stdout } = await promisify(execFile)(program!, args);
    const { half = NaN, most = NaN, all, lost, attempts, peak, outage } = JSON.parse(stdout) as Recovery;
    expect(lost).toBe(0);
    expect(outage).toBeGreaterThanOrEqual(50);
    expect(half).toBeGreaterThan(0);
    expect(most).toBeGreaterThanOrEqual(half);
    expect(all).toBeGreaterThanOrEqual(most);
    expect(attempts).toBeGreaterThanOrEqual(1);
    expect(peak).toBeGreaterThanOrEqual(20);
  },
);

test('npm run bench writes the page that it prints, including another version of this library', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  const library = await javascript();
  try {
    const file = join(folder, 'page.md');
    const args = ['--quick', '--rounds', '1', '--only', 'round-trip/1', '--entrants', 'ours', '--library', library];
    const main = join(library, 'benchmarks/main.js');
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args, '--write', file]);
    expect(readFileSync(file, 'utf8')).toBe(stdout);
    expect(stdout).toContain(`npm run bench -- ${args.join(' ')} --write ${file}\n`);
    expect(stdout).toContain(`Node ${process.versions.node} on `);
    expect(stdout).toMatch(/^\| round-trip, 1: ours \| p50 \| ≤ 1\.05 × net\.Socket \|/m);
    const rows = [...stdout.split('### ')[1]!.matchAll(/^\| ([^|]+?) \| [\d,.]+ \| \d/gm)].map(([, name]) => name);
    expect(rows).toEqual(['net.Socket', 'ours', `ours@${library}`]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [['--rounds', '0'], 'Expected --rounds to be a whole number above 0, got 0'],
  [['--only', 'everything'], 'Expected --only to be one of receive, send'],
  [['--library', '/nowhere'], 'There is no library in /nowhere'],
])('npm run bench rejects %j', async (args, message) => {
  const run = promisify(execFile)(process.execPath, [join(await javascript(), 'benchmarks/main.js'), ...args]);
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(message) as string });
});
