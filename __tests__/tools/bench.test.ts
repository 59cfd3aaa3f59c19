import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type Contest, type Entrant, type Figures, type Result, hold } from '../../benchmarks/contest';
import { goalTable } from '../../benchmarks/goals';
import { Lab } from '../../benchmarks/lab';
import { arePeersInstalled } from '../../benchmarks/project';
import type { Recovery, RecoveryWish } from '../../benchmarks/recovery/process';
import { quantile, ratios, summary } from '../../benchmarks/statistics';
import { subjects } from '../../benchmarks/subjects';
import { table } from '../../benchmarks/table';
import { find } from '../kit/find-server';
import { titled } from '../kit/missing';
import { inNamespace, namespacesMissing } from '../kit/namespace';
import { javascript } from '../kit/processes';

const TIMEOUT = 180_000;

const PEERS_MISSING = 'npm ci --prefix benchmarks was not run';

/** As little as can be measured. */
const SCALE = 0.005;

function contest(entrants: readonly Entrant[], more: Partial<Contest> = {}): Contest {
  return {
    subject: 'send',
    name: '10x64',
    title: 'a title',
    columns: [{ figure: 'rate', title: 'messages/s' }],
    entrants,
    ...more,
  };
}

/** An entrant with these figures, round by round. */
function scripted(name: string, rates: readonly number[], log: string[] = []): Entrant {
  let round = 0;
  const run = () => {
    log.push(name);
    return Promise.resolve({ rate: rates[round++]! });
  };
  return { name, run };
}

function holding(entrants: readonly Entrant[], rounds: number, more?: Partial<Contest>): Promise<Result[]> {
  return hold([contest(entrants, more)], rounds, () => {});
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

  test('there is no median of nothing', () => {
    expect(summary([])).toBeUndefined();
  });

  test('a multiple is of the same round, and no round counts that one of the two did not run', () => {
    const base = { name: 'base', runs: [{ rate: 10 }, { rate: 20 }, { rate: 0 }] };
    const entry = { name: 'entry', runs: [{ rate: 20 }, { rate: 10 }, { rate: 5 }, { rate: 5 }] };
    expect(ratios(entry, base, 'rate')).toEqual([2, 0.5]);
    expect(ratios(entry, base, 'cpu')).toEqual([]);
  });

  test('what never came to pass is infinite, and twice never is no multiple', async () => {
    const never = { name: 'never', runs: [{ rate: Infinity }, { rate: Infinity }] };
    const once = { name: 'once', runs: [{ rate: 5 }, { rate: Infinity }] };
    expect(ratios(once, never, 'rate')).toEqual([0]);
    expect(ratios(never, once, 'rate')).toEqual([Infinity]);
    const [result] = await holding([scripted('first', [10]), scripted('never', [Infinity])], 1);
    expect(table(result!)).toContain('| never | never | ∞ |\n');
  });

  test('a row shows the median, its quarters, and the multiple of the first row', async () => {
    const entrants = [scripted('first', [100, 100, 100, 100, 100]), scripted('second', [300, 100, 200, 400, 500])];
    const [result] = await holding(entrants, 5);
    expect(table(result!)).toBe(
      `|  | messages/s | × |
| --- | ---: | ---: |
| first | 100 | 1.00 |
| second | 300 (200–400) | 3.00 (2.00–4.00) |
`,
    );
  });
});

describe('rounds', () => {
  test('take turns at being the first, as many as are worth their time', async () => {
    const log: string[] = [];
    const rates = [1, 1, 1, 1];
    await holding([scripted('a', rates, log), scripted('b', rates, log), scripted('c', rates, log)], 4, { rounds: 3 });
    expect(log.join('')).toBe('abcbcacab');
  });

  test('go on without an entrant that failed, and the table says why', async () => {
    const run = jest.fn<Promise<Figures>, []>().mockRejectedValue(new Error('it ended with 1'));
    const [result] = await holding([scripted('sound', [10, 20]), { name: 'broken', run }], 2);
    expect(run).toHaveBeenCalledTimes(1);
    expect(result!.entries.map(({ runs }) => runs.length)).toEqual([2, 0]);
    expect(table(result!)).toContain('| broken | – | – |\n\nbroken failed: it ended with 1\n');
  });
});

test.each([
  [45, '| 4.50 | reached |'],
  [44, '| 4.40 | **not reached** |'],
])('a goal of 4.5 times as much: %d to 10', async (rate, verdict) => {
  const results = await holding([scripted('net.Socket', [10]), scripted('ours', [rate])], 1);
  expect(goalTable(results)).toContain(`| send, 10x64: ours | messages/s | ≥ 4.50 × net.Socket ${verdict}\n`);
});

test('a goal is reached where the other never got as far', async () => {
  const entrants = [
    { name: 'connman', run: () => Promise.resolve({ attempts: 3, most: Infinity }) },
    { name: 'ours, in a pool', run: () => Promise.resolve({ attempts: 1.2, most: 900 }) },
  ];
  const goals = goalTable(await holding(entrants, 1, { subject: 'recovery', name: '5000' }));
  expect(goals).toContain('| ≤ 0.45 × connman | connman never got there | reached |');
  expect(goals).toContain('| dials a connection | ≤ 1.15 | 1.2 | **not reached** |');
});

test('an interruption leaves what was measured by then', async () => {
  const interruption = new AbortController();
  const last = {
    name: 'last',
    run: () => {
      interruption.abort();
      return Promise.reject(new Error('it ended with SIGINT'));
    },
  };
  const results = await hold([contest([scripted('first', [1, 2]), last])], 2, () => {}, interruption.signal);
  expect(results[0]!.entries).toEqual([
    { name: 'first', runs: [{ rate: 1 }] },
    { name: 'last', runs: [] },
  ]);
});

test('there are goals for what was measured, and for nothing else', async () => {
  expect(goalTable(await holding([scripted('net.Socket', [10])], 1))).toBe('');
});

const kinds: [string, boolean][] = [['the peer in Node', false]];
if (find('cc') !== undefined && process.platform === 'linux') kinds.push(['the peer in C', true]);

describe.each(kinds)('with %s, what was measured is what was done:', (_title, withNative) => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open(SCALE, [], withNative);
    expect(lab.native !== undefined).toBe(withNative);
  }, TIMEOUT);
  afterAll(() => lab.close());

  /** What each of a contest's entrants measures; `others` are libraries that may not be installed. */
  async function figures(subject: string, name: string, others = false): Promise<ReadonlyMap<string, Figures>> {
    const found = subjects[subject]!(lab).find((each) => each.name === name)!;
    const asked = found.entrants.filter(
      (entrant) => /^(?:net\.Socket|ours|a client in C)/.test(entrant.name) !== others,
    );
    const ran = await Promise.all(asked.map(async (entrant) => [entrant.name, await entrant.run()] as const));
    return new Map(ran);
  }

  /** The bytes of a flood, less what of the last chunk of the warm-up is not in it. */
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

  const inC = withNative ? ['a client in C'] : [];
  const receivers = ['net.Socket', 'ours', 'ours, reuseReadBuffer', 'ours, idleTimeout', ...inC];

  test.each(['tcp', 'unix'])(
    'a flood, over %s',
    async (transport) => {
      expectFlood(await figures('receive', `bulk-${transport}`), receivers);
    },
    TIMEOUT,
  );

  test.each(['tcp', 'unix'])(
    'small segments, each of which is an event, over %s',
    async (transport) => {
      const all = await figures('receive', `small-${transport}`);
      expect([...all.keys()].sort()).toEqual([...receivers].sort());
      const events = 128 * lab.scaled(500);
      for (const found of all.values()) expect(found).toMatchObject({ events, bytes: 64 * events });
    },
    TIMEOUT,
  );

  test(
    'messages, all of which arrive, and the system calls that they took',
    async () => {
      const all = await figures('send', '10x64');
      expect(all.size).toBe(8);
      for (const [name, { messages = 0, bytes, rate, writes }] of all) {
        expect(messages).toBeGreaterThan(0);
        expect(messages % 10).toBe(0);
        expect(bytes).toBe(64 * messages);
        expect(rate).toBeGreaterThan(0);
        if (process.platform !== 'linux') continue;
        // A few belong to the measurement.
        const calls = /corked|all in one|ours/.test(name) ? 1 : 10;
        expect(writes).toBeGreaterThanOrEqual(calls);
        expect(writes).toBeLessThan(calls + 0.5);
      }
    },
    TIMEOUT,
  );

  test.each(['1', '32'])(
    'requests, all of which are answered, %s in flight',
    async (inFlight) => {
      const all = await figures('round-trip', inFlight);
      expect([...all.keys()]).toEqual(['net.Socket', 'net.Socket, corked by hand', 'ours']);
      const requests = lab.scaled(inFlight === '1' ? 12_000 : 80_000);
      for (const found of all.values()) {
        expect(found).toMatchObject({ requests });
        expect(found['p50']).toBeGreaterThan(0);
        expect(found['p99']).toBeGreaterThanOrEqual(found['p50']!);
      }
    },
    TIMEOUT,
  );

  test(
    'memory, while connections are open and while they wait',
    async () => {
      const all = await figures('memory', 'idle');
      expect([...all.keys()]).toEqual(['net.Socket', 'ours', 'ours, in a pool']);
      for (const found of all.values()) {
        expect(found).toMatchObject({ count: 500 });
        expect(found['openHeap']).toBeGreaterThan(0);
        expect(found['waitingHeap']).toBeGreaterThan(0);
      }
    },
    TIMEOUT,
  );

  test(
    'sessions that are opened and reset',
    async () => {
      const all = await figures('cycle', 'reset');
      expect(all.size).toBe(4);
      for (const found of all.values()) expect(found).toMatchObject({ cycles: lab.scaled(6_000) });
    },
    TIMEOUT,
  );

  // Once is enough: they take their time.
  if (withNative !== kinds.at(-1)![1]) return;
  const missing = arePeersInstalled() ? undefined : PEERS_MISSING;

  (missing === undefined ? test : test.skip)(
    titled('what other libraries do', missing),
    async () => {
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
      for (const { time } of (await figures('small', 'ours', true)).values()) expect(time).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});

test.each(['bare', 'ours', 'pooled'] as const)(
  'a server that is killed: %s is served again by the next, by as many dials as the kernel saw',
  async (client) => {
    const library = await javascript();
    const wish: RecoveryWish = { who: { client, library }, count: 20, outage: 50 };
    const command = [process.execPath, join(library, 'benchmarks/recovery/process.js'), JSON.stringify(wish)];
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
  TIMEOUT,
);

test(
  'npm run bench writes the page that it prints, with this library in its other versions',
  async () => {
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
  },
  TIMEOUT,
);

test.each([
  [['--rounds', '0'], 'Expected --rounds to be a whole number above 0, got 0'],
  [['--only', 'everything'], 'Nothing is called everything'],
  [['--library', '/nowhere'], 'There is no library in /nowhere'],
])('npm run bench -- %j is refused', async (args, message) => {
  const run = promisify(execFile)(process.execPath, [join(await javascript(), 'benchmarks/main.js'), ...args]);
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(message) as string });
});
