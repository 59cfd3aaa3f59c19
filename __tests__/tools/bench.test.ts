import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type Contest, type Figures, type Result, runContests } from '../../benchmarks/contest';
import { type Goal, finding, findingText, goalText } from '../../benchmarks/goals';
import { Lab, again } from '../../benchmarks/lab';
import { ForeignLoad, times } from '../../benchmarks/machine';
import { page } from '../../benchmarks/page';
import { arePeersInstalled } from '../../benchmarks/project';
import { record } from '../../benchmarks/records';
import type { FleetRun } from '../../benchmarks/recovery/fleet';
import type { Recovery, RecoveryRun } from '../../benchmarks/recovery/process';
import { band, quantile, ratios, summary } from '../../benchmarks/statistics';
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

/** The figures of each entrant, round by round. */
type Script = Readonly<Record<string, readonly (Figures | Error)[]>>;

/** A contest whose entrants have these figures, and the entrants in the order of their runs. */
function scripted(script: Script, more: Partial<Contest> = {}): { readonly contest: Contest; readonly log: string[] } {
  const log: string[] = [];
  const runs = new Map<string, number>();
  const contest: Contest = {
    subject: 'send',
    name: '10x64',
    title: 'a title',
    columns,
    entrants: Object.keys(script),
    measure: (names) => {
      const found = names.map((name): [string, Figures] => {
        log.push(name);
        const run = runs.get(name) ?? 0;
        runs.set(name, run + 1);
        const figures = script[name]![run]!;
        if (figures instanceof Error) throw figures;
        return [name, figures];
      });
      return Promise.resolve(Object.fromEntries(found));
    },
    ...more,
  };
  return { contest, log };
}

async function resultOf(script: Script, rounds: number, more?: Partial<Contest>): Promise<Result> {
  const [result] = await runContests([scripted(script, more).contest], { rounds, repeats: 0, onRun: () => {} });
  // Other tests keep the machine busy meanwhile.
  return { ...result!, busy: 0 };
}

function rates(...values: readonly number[]): Figures[] {
  return values.map((rate) => ({ rate }));
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
    const result = await resultOf({ first: rates(10), never: rates(Infinity) }, 1);
    expect(table(result)).toContain('| never | ∞ |\n');
    const figures = { ...result, columns: [{ ...columns[0]!, isCompared: false }] };
    expect(table(figures)).toContain('| never | never |\n');
  });

  test('the first row has its median, its control the extremes of the ratio, and the others the quartiles', async () => {
    const result = await resultOf(
      {
        first: rates(100, 100, 100, 100, 100),
        'first again': rates(90, 100, 100, 110, 120),
        second: rates(300, 100, 200, 400, 500),
      },
      5,
    );
    expect(table(result)).toBe(
      `|  | × messages/s |
| --- | ---: |
| first | 1 = 100 |
| first again | 1.00 (0.90–1.20) |
| second | 3.00 (2.00–4.00) |
`,
    );
  });

  test('the band is the largest ratio between the first entrant and its control, in either direction', async () => {
    const script = { first: rates(100, 100, 100), other: rates(1, 1, 1) };
    expect(band(await resultOf({ ...script, 'first again': rates(100, 80, 110) }, 3), 'rate')).toBe(1.25);
    expect(band(await resultOf(script, 3), 'rate')).toBeUndefined();
  });
});

describe('runContests()', () => {
  test('begins each round with another entrant, and runs as many rounds as the contest asks for', async () => {
    const three = { a: rates(1, 1, 1, 1), b: rates(1, 1, 1, 1), c: rates(1, 1, 1, 1) };
    const { contest, log } = scripted(three, { share: 0.75 });
    await runContests([contest], { rounds: 4, repeats: 0, onRun: () => {} });
    expect(log.join('')).toBe('abcbcacab');
  });

  test('measures all entrants at once where one process has them all', async () => {
    const { contest, log } = scripted({ a: rates(1), b: rates(2) }, { isShared: true });
    const runs: (readonly string[])[] = [];
    const [result] = await runContests([contest], { rounds: 1, repeats: 0, onRun: (_, names) => runs.push(names) });
    expect(log).toEqual(['a', 'b']);
    expect(runs).toEqual([['a', 'b']]);
    expect(result).toMatchObject({ runs: 1, entries: [{ runs: [{ rate: 1 }] }, { runs: [{ rate: 2 }] }] });
  });

  test('goes on without an entrant that failed, and the table has the reason', async () => {
    const { contest, log } = scripted({ sound: rates(10, 20), broken: [new Error('it ended with 1')] });
    const [result] = await runContests([contest], { rounds: 2, repeats: 0, onRun: () => {} });
    expect(log).toEqual(['sound', 'broken', 'sound']);
    expect(result!.entries.map(({ runs }) => runs.length)).toEqual([2, 0]);
    expect(table(result!)).toContain('| broken | – |\n\nbroken failed: it ended with 1\n');
  });

  test('an interruption keeps the results so far, and is no failure', async () => {
    const interruption = new AbortController();
    const measure = (names: readonly string[]) => {
      if (names[0] === 'first') return Promise.resolve({ first: { rate: 1 } });
      interruption.abort();
      return Promise.reject(new Error('it ended with SIGINT'));
    };
    const { contest } = scripted({ first: [], last: [] }, { measure });
    const { signal } = interruption;
    const [result] = await runContests([contest], { rounds: 2, repeats: 0, onRun: () => {}, signal });
    expect(result!.entries).toEqual([
      { name: 'first', runs: [{ rate: 1 }] },
      { name: 'last', runs: [] },
    ]);
  });

  test('repeats what was measured while other processes ran, and then counts it as disturbed', async () => {
    const share = jest.spyOn(ForeignLoad.prototype, 'share');
    // Of the first run; of the second that it waits for; of the run that repeats it.
    for (const value of [0.5, 0, 0.4]) share.mockReturnValueOnce(value);
    const { contest, log } = scripted({ only: rates(1, 2) });
    const [result] = await runContests([contest], { rounds: 1, repeats: 1, onRun: () => {} });
    expect(share).toHaveBeenCalledTimes(3);
    share.mockRestore();
    expect(log).toEqual(['only', 'only']);
    expect(result).toMatchObject({ runs: 1, busy: 1, entries: [{ runs: [{ rate: 2 }] }] });
    expect(table(result!)).toContain('\n1 of 1 runs were made while the machine had other work.\n');
  });
});

const isLinux = process.platform === 'linux';

test('the load of other processes is what the processors did, less what this process and its children did', () => {
  const script = [
    { all: 1_000, busy: 500, own: 100 },
    { all: 1_400, busy: 800, own: 200 },
  ];
  expect(new ForeignLoad(() => script.shift()!).share()).toBe(0.5);
});

(isLinux ? test : test.skip)('a child that has ended counts as own work', async () => {
  const before = times();
  await promisify(execFile)(process.execPath, ['-e', 'while (process.cpuUsage().user < 500_000);']);
  // In hundredths of a second.
  expect(times().own - before.own).toBeGreaterThan(40);
  expect(times().all).toBeGreaterThan(before.all);
});

describe('a goal', () => {
  const goal: Goal = { subject: 'send', name: '10x64', figure: 'rate', words: 'messages/s', than: 'first', least: 4 };
  const most: Goal = { ...goal, least: undefined, most: 4 } as never;

  test.each([
    [46, 'reached', 'missed'],
    [43, 'within the band', 'within the band'],
    [37, 'within the band', 'within the band'],
    [34, 'missed', 'reached'],
  ])(
    'of a ratio of 4, with %d to 10 and a band of 10 %%, is %s as the least and %s as the most',
    async (rate, ...verdicts) => {
      const result = await resultOf({ first: rates(10), 'first again': rates(11), ours: rates(rate) }, 1);
      expect([finding(goal, [result])?.verdict, finding(most, [result])?.verdict]).toEqual(verdicts);
    },
  );

  test('without a control is reached exactly at its bound', async () => {
    const verdictOf = async (rate: number) =>
      finding(most, [await resultOf({ first: rates(10), ours: rates(rate) }, 1)])?.verdict;
    expect(await Promise.all([40, 41].map(verdictOf))).toEqual(['reached', 'missed']);
  });

  test('of 0 is reached by 0 alone', async () => {
    const none: Goal = { ...goal, than: undefined, least: undefined, most: 0 } as never;
    const verdictOf = async (rate: number) =>
      finding(none, [await resultOf({ first: rates(0), 'first again': rates(0), ours: rates(rate) }, 1)])?.verdict;
    expect(await Promise.all([0, 1].map(verdictOf))).toEqual(['reached', 'missed']);
  });

  test('is reached where the other entrant has an infinite figure', async () => {
    const found = finding(most, [await resultOf({ first: rates(Infinity), ours: rates(900) }, 1)])!;
    expect(goalText(most)).toBe('≤ 4.00 × first');
    expect(findingText(most, found)).toBe('first never got there: reached');
  });

  test('has no finding where it was not measured', async () => {
    expect(finding(goal, [await resultOf({ first: rates(1) }, 1)])).toBeUndefined();
    expect(finding(goal, [])).toBeUndefined();
  });
});

describe('record()', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const runOf = (day: string, results: readonly Result[]) => ({
    command: 'npm run bench',
    day,
    circumstances: [],
    results,
  });

  test('keeps what other versions of Node and other tables have, and replaces the same table', async () => {
    const file = join(folder, 'page.md');
    const named = async (name: string, rate: number) =>
      resultOf({ 'net.Socket': rates(10), ours: rates(rate), never: rates(Infinity) }, 1, { name });
    record(file, 20, runOf('day 1', [await named('1x64', 20), await named('10x64', 80)]));
    record(file, 26, runOf('day 2', [await named('10x64', 90)]));
    record(file, 20, runOf('day 3', [await named('10x64', 50)]));
    expect(readdirSync(join(folder, 'page')).sort()).toEqual(['node20.json', 'node26.json']);
    const written = readFileSync(file, 'utf8');
    expect(written).toContain('| send, 1x64: ours | messages/s | ≥ 0.97 × net.Socket | 2.00: reached | – |\n');
    expect(written).toContain(
      '| send, 10x64: ours | messages/s | ≥ 4.50 × net.Socket | 5.00: reached | 9.00: reached |\n',
    );
    const order = ['## Node 20', 'day 1', '### send, 1x64', 'day 3', '### send, 10x64', '## Node 26', 'day 2'];
    expect(order.map((part) => written.indexOf(part)).every((at, index, all) => at > (all[index - 1] ?? 0))).toBe(true);
    expect(written.match(/\| never \| ∞ \|/g)).toHaveLength(3);
  });

  test('the page has no goals where none was measured', async () => {
    const result = await resultOf({ first: rates(1) }, 1);
    expect(page([{ node: 20, runs: [runOf('a day', [result])] }])).not.toContain('## Goals');
  });

  test('the page has the tables of the oldest and of the newest version of Node', async () => {
    const runs = [runOf('a day', [await resultOf({ first: rates(1) }, 1)])];
    const text = page([24, 22, 20].map((node) => ({ node, runs })));
    expect(text.match(/^## Node \d+$/gm)).toEqual(['## Node 20', '## Node 24']);
  });
});

const isSupported = isLinux && find('cc') !== undefined;

(isSupported ? describe : describe.skip)(`a client${isSupported ? '' : ' (skipped: needs Linux and cc)'}`, () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open(SCALE);
  });
  afterAll(() => lab.close());

  const contests = (subject: string) => subjects[subject]!(lab);

  /** The figures of a contest's entrants; `others` are the libraries that may not be installed. */
  async function figures(subject: string, name: string, others = false): Promise<ReadonlyMap<string, Figures>> {
    const contest = contests(subject).find((each) => each.name === name)!;
    const asked = contest.entrants.filter((entrant) => /^(?:connman|ws)/.test(entrant) === others);
    if (contest.isShared) return new Map(Object.entries(await contest.measure(asked)));
    const found = await Promise.all(asked.map(async (entrant) => contest.measure([entrant])));
    return new Map(found.flatMap((each) => Object.entries(each)));
  }

  test('every table has the first entrant again as the second', () => {
    const heads = Object.keys(subjects).flatMap((subject) =>
      contests(subject).map(({ entrants }) => entrants.slice(0, 2)),
    );
    expect(heads.length).toBeGreaterThan(15);
    for (const [first, second] of heads) expect(second).toBe(again({ name: first! }).name);
  });

  test.each(['bulk', 'small'])('receives %s', async (name) => {
    const all = await figures('receive', name);
    expect(all.size).toBe(name === 'bulk' ? 7 : 6);
    for (const { units, rate, cpu, user } of all.values()) {
      expect(units).toBeGreaterThan(0);
      expect(rate).toBeGreaterThan(0);
      expect(cpu).toBeGreaterThan(0);
      expect(user).toBeGreaterThanOrEqual(0);
    }
  });

  test('sends messages that all arrive', async () => {
    const all = await figures('send', '10x64');
    expect([...all.keys()]).toEqual(['net.Socket', 'net.Socket again', 'net.Socket, corked by hand', 'ours']);
    for (const { units = NaN } of all.values()) expect(units % 10).toBe(0);
  });

  test.each(['1', '32'])('has all requests answered, %s in flight', async (inFlight) => {
    const all = await figures('round-trip', inFlight);
    expect([...all.keys()]).toEqual(['net.Socket', 'net.Socket again', 'ours']);
    for (const { units = 0, p50 } of all.values()) {
      expect(units % (inFlight === '1' ? 1_500 : 8_000)).toBe(0);
      expect(p50).toBeGreaterThan(0);
    }
  });

  test.each(['open', 'waiting'])('takes memory: %s', async (name) => {
    for (const found of (await figures('memory', name)).values()) {
      expect(found).toMatchObject({ count: 500 });
      expect(found['heap']).toBeGreaterThan(0);
    }
  });

  test('keeps at most a read buffer of 64 KiB when it is idle', async () => {
    const all = await figures('memory', 'idle');
    expect(all.size).toBe(4);
    for (const { buffers } of all.values()) expect(buffers).toBeLessThanOrEqual(65_536);
  });

  test('counts the secure contexts of TLS connections', async () => {
    const all = await figures('memory', 'tls');
    expect(all.get('tls.connect, one secure context')).toMatchObject({ count: 50, contexts: 0 });
    expect(all.get('tls.connect, a secure context each')).toMatchObject({ contexts: 50 });
    expect(all.get('ours')!['making']).toBeGreaterThan(0);
  });

  test.each(['warm', 'cold'])('opens as many sessions as are reset: %s', async (name) => {
    const all = await figures('cycle', name);
    expect(all.size).toBe(6);
    for (const { units = 0, cpu } of all.values()) {
      expect(units).toBe(name === 'warm' ? 1_000 : 256);
      expect(cpu).toBeGreaterThan(0);
    }
  });

  const noNetwork = namespacesMissing();

  (noNetwork === undefined ? test : test.skip)(titled('races the addresses of a name', noNetwork), async () => {
    for (const { time } of (await figures('race', 'dead')).values()) {
      // The dead address has a quarter of a second to itself.
      expect(time).toBeGreaterThan(200);
      expect(time).not.toBe(Infinity);
    }
  });

  test.each(['emit', 'hop', 'pick'])('does small work: %s', async (name) => {
    for (const { cpu } of (await figures('small', name)).values()) expect(Number.isFinite(cpu)).toBe(true);
  });

  const missing = arePeersInstalled() ? undefined : PEERS_MISSING;

  (missing === undefined ? test : test.skip)(titled('another library can be measured', missing), async () => {
    expect((await figures('memory', 'open', true)).get('connman')!['heap']).toBeGreaterThan(0);
    expect((await figures('cycle', 'cold', true)).get('connman')!['cpu']).toBeGreaterThan(0);
    for (const { cpu, heap, loaded } of (await figures('loading', 'require', true)).values()) {
      expect([cpu! > 0, heap! > 0, loaded]).toEqual([true, true, 1]);
    }
    expect((await figures('loading', 'require')).get('ours')).toMatchObject({ loaded: 1 });
  });
});

test.each(['bare', 'ours', 'pooled'] as const)(
  'recovery: %s is served again after each outage, and the kernel counts the dials',
  async (client) => {
    const library = await javascript();
    const run: RecoveryRun = { client, library, count: 20, outage: 50, pauses: [0, 0] };
    const command = [process.execPath, join(library, 'benchmarks/recovery/process.js'), JSON.stringify(run)];
    const [program, ...args] = namespacesMissing() === undefined ? inNamespace(command) : command;
    const { stdout } = await promisify(execFile)(program!, args);
    const all = JSON.parse(stdout) as Recovery[];
    expect(all).toHaveLength(2);
    for (const { half = NaN, most = NaN, all: last, lost, attempts, cpu, outage } of all) {
      expect(lost).toBe(0);
      expect(outage).toBeGreaterThanOrEqual(50);
      expect(half).toBeGreaterThan(0);
      expect(most).toBeGreaterThanOrEqual(half);
      expect(last).toBeGreaterThanOrEqual(most);
      expect(attempts).toBeGreaterThanOrEqual(1);
      expect(cpu).toBeGreaterThan(0);
    }
  },
);

test.each(['bare', 'ours', 'pooled'] as const)(
  'fleet: %s has all connections back, and the kernel counts the dials',
  async (client) => {
    const library = await javascript();
    const run: FleetRun = {
      client,
      library,
      members: 24,
      targets: 4,
      isRolling: client === 'pooled',
      outage: 50,
      pause: 0,
    };
    const command = [process.execPath, join(library, 'benchmarks/recovery/fleet.js'), JSON.stringify(run)];
    const [program, ...args] = namespacesMissing() === undefined ? inNamespace(command) : command;
    const { stdout } = await promisify(execFile)(program!, args);
    const found = JSON.parse(stdout) as Figures;
    expect(found).toMatchObject({ lost: 0, open: run.isRolling ? (expect.any(Number) as number) : 0 });
    expect(found['attempts']).toBeGreaterThanOrEqual(1);
    expect(found['busiest']).toBeGreaterThan(0);
    expect(found['slowest']).toBeGreaterThanOrEqual(found['target']!);
    expect(found['whole']).toBeGreaterThanOrEqual(run.isRolling ? 4 * 50 : 50);
    for (const name of ['cpu', 'heap', 'peak']) expect(found[name]).toBeGreaterThan(0);
  },
);

test('npm run bench writes the page that it prints, including another version of this library', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  const library = await javascript();
  try {
    const file = join(folder, 'page.md');
    const args = ['--quick', '--loaded', '--only', 'round-trip/1', '--library', library, '--write', file];
    const { stdout } = await promisify(execFile)(process.execPath, [join(library, 'benchmarks/main.js'), ...args]);
    expect(readFileSync(file, 'utf8')).toBe(stdout);
    expect(stdout).toContain(`npm run bench -- ${args.join(' ')}\n`);
    expect(stdout).toContain(`Node ${process.versions.node} on `);
    expect(stdout).toMatch(/^\| round-trip, 1: ours \| p50 \| ≤ 1\.03 × net\.Socket \|/m);
    const rows = [...stdout.split('### ')[1]!.matchAll(/^\| ([^|]+?) \| [\d,.= ]+ \| \d/gm)].map(([, name]) => name);
    expect(rows).toEqual(['net.Socket', 'net.Socket again', 'ours', `ours@${library}`]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [['--rounds', '0'], 'Expected --rounds to be a whole number above 0, got 0'],
  [['--only', 'everything'], 'Expected --only to be one of memory, cycle'],
  [['--members', '9', '--targets', '10', '--only', 'fleet'], 'Expected --members to be at least 10, got 9'],
  [['--targets', '257', '--only', 'fleet'], 'Expected --targets to be at most 256, got 257'],
  [['--library', '/nowhere'], 'There is no library in /nowhere'],
])('npm run bench rejects %j', async (args, message) => {
  const run = promisify(execFile)(process.execPath, [join(await javascript(), 'benchmarks/main.js'), ...args]);
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(message) as string });
});

(isLinux ? test : test.skip)('npm run bench refuses to run while the machine has other work', async () => {
  const burners = Array.from({ length: Math.ceil(cpus().length / 8) }, () =>
    execFile(process.execPath, ['-e', 'for (;;);']),
  );
  try {
    const main = join(await javascript(), 'benchmarks/main.js');
    const run = promisify(execFile)(process.execPath, [main, '--quick', '--only', 'round-trip/1']);
    const stderr = expect.stringMatching(/^Other work takes \d+ % .* --loaded$/m) as string;
    await expect(run).rejects.toMatchObject({ code: 1, stderr });
  } finally {
    for (const burner of burners) burner.kill('SIGKILL');
  }
});
