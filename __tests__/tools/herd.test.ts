import { createRequire } from 'node:module';
import { join } from 'node:path';

import { Agenda } from '../../benchmarks/herd/agenda';
import { asPolicy, candidates, defaultCandidate } from '../../benchmarks/herd/candidates';
import { compared, front, measure } from '../../benchmarks/herd/choice';
import { crowd } from '../../benchmarks/herd/crowd';
import { ejection } from '../../benchmarks/herd/ejection';
import { type Dialler, Dials } from '../../benchmarks/herd/dials';
import { type Herd, fleet } from '../../benchmarks/herd/fleet';
import { lone } from '../../benchmarks/herd/lone';
import { type Findings, page } from '../../benchmarks/herd/page';
import { others, ours } from '../../benchmarks/herd/policies';
import type { Policy } from '../../benchmarks/herd/policy';
import { seeded } from '../../benchmarks/herd/random';
import { type Restart, restart } from '../../benchmarks/herd/rolling';
import { restartPage } from '../../benchmarks/herd/rolling-page';
import { Server } from '../../benchmarks/herd/server';
import { type Outcome, SPAN, Tally } from '../../benchmarks/herd/tally';
import { arePeersInstalled } from '../../benchmarks/project';
import { type Backoff, exponentialBackoff } from '../../lib/options/backoff';
import { titled } from '../kit/missing';

const herd: Herd = { clients: 2_000, outage: 5_000, seed: 1, capacity: 1_000, backlog: 500, patience: 100_000 };
const everyone = [ours, ...others];

function policy(backoff: (random: () => number) => Backoff, connectTimeout = 10_000): Policy {
  return { name: 'test', origin: 'test', waits: 'test', backoff, connectTimeout };
}

/** An outcome with plain arrays, for `toEqual()`. */
function plain({ dials, open, ...figures }: Outcome): object {
  return { ...figures, dials: [...dials], open: [...open] };
}

/** The spans by whose end more clients are open than the server can have served. */
function overtaken({ open }: Outcome): number[] {
  const most = (span: number) => (Math.max(0, (span + 1) * SPAN - herd.outage) * herd.capacity) / 1_000;
  return [...open.keys()].filter((span) => open[span]! > most(span) + 1e-6);
}

function sum(counts: Iterable<number>): number {
  return [...counts].reduce((total, count) => total + count, 0);
}

describe('seeded()', () => {
  it('gives the same numbers for the same seed, and others for another seed', () => {
    const draw = (seed: number) => Array.from({ length: 20 }, seeded(seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('is sfc32', () => {
    // The first numbers of sfc32 with this seed, by another program.
    const random = seeded(1);
    expect(Array.from({ length: 4 }, () => random() * 2 ** 32)).toEqual([
      1_506_684_997, 389_392_296, 138_374_344, 482_077_534,
    ]);
  });

  it('distributes its numbers evenly between 0 and 1', () => {
    const random = seeded(7);
    const tenths = new Uint32Array(10);
    for (let draw = 0; draw < 100_000; draw++) tenths[Math.floor(random() * 10)]! += 1;
    expect(sum(tenths)).toBe(100_000);
    // Five standard deviations of a binomial with n = 100,000 and p = 0.1.
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(475);
  });
});

describe('Agenda', () => {
  it('takes every item at its latest moment, and no item that was cancelled', () => {
    const random = seeded(3);
    const agenda = new Agenda(2_000, 500, random);
    const expected = Array.from({ length: 1_001 }, (): number[] => []);
    const moment = () => 1 + Math.floor(random() * 500);
    for (let item = 0; item < 2_000; item++) {
      const at = moment();
      agenda.set(item, moment());
      agenda.set(item, at);
      if (random() < 0.3) agenda.cancel(item);
      // An item may be set again when it is taken: half of them come twice.
      else expected[at]!.push(item);
    }
    for (let now = 1; now <= 1_000; now++) {
      const taken: number[] = [];
      agenda.take(now, (item) => {
        taken.push(item);
        if (item % 2 === 1 || now > 500) return;
        agenda.set(item, now + 500);
        expected[now + 500]!.push(item);
      });
      expect(taken.sort()).toEqual(expected[now]!.sort());
    }
  });

  it('takes items that are due together in random order, except those that are cancelled meanwhile', () => {
    const agenda = new Agenda(4, 1, seeded(5));
    const firsts = new Uint32Array(4);
    for (let now = 1; now <= 4_000; now++) {
      for (let item = 0; item < 4; item++) agenda.set(item, now);
      const taken: number[] = [];
      agenda.take(now, (item) => {
        taken.push(item);
        if (taken.length === 2) for (let other = 0; other < 4; other++) agenda.cancel(other);
      });
      expect(new Set(taken).size).toBe(2);
      firsts[taken[0]!]! += 1;
    }
    for (const count of firsts) expect(Math.abs(count - 1_000)).toBeLessThan(140);
  });

  it('rejects moments in the past, and later ones than the longest wait', () => {
    const agenda = new Agenda(1, 100, seeded(1));
    agenda.take(50, () => undefined);
    expect(() => agenda.set(0, 50)).toThrow(RangeError);
    expect(() => agenda.set(0, 151)).toThrow(RangeError);
    expect(agenda.has(0)).toBe(false);
    agenda.set(0, 150);
    expect(agenda.has(0)).toBe(true);
  });
});

describe('Server', () => {
  it('never serves more clients than its capacity', () => {
    const server = new Server({ capacity: 5_000, backlog: 4_096, listensAt: 100 });
    const random = seeded(2);
    const served: number[] = [];
    const waits: number[] = [];
    for (let now = 100; now < 3_000; now++) {
      const bursts = random() < 0.01 ? 3_000 : Math.floor(random() * 12);
      for (let syn = 0; syn < bursts; syn++) {
        const at = server.accept(now);
        if (at === Infinity) continue;
        waits.push(at - now);
        served.push(at);
      }
    }
    expect(served.length).toBeGreaterThan(10_000);
    expect(Math.min(...waits)).toBeGreaterThan(0);
    expect(Math.max(...waits)).toBeLessThanOrEqual(4_096 * 0.2 + 1e-6);
    // A thousand later, at least 200 ms later: no window has more than it can serve.
    const spans = served.slice(1_000).map((at, index) => at - served[index]!);
    expect(Math.min(...spans)).toBeGreaterThan(200 - 1e-6);
    // It is never idle while somebody waits.
    expect(Math.max(...waits)).toBeGreaterThan(4_000 * 0.2);
  });

  it('queues as many clients as its backlog, and drops the next', () => {
    const server = new Server({ capacity: 1_000, backlog: 3, listensAt: 10 });
    expect(server.listens(9)).toBe(false);
    expect(server.listens(10)).toBe(true);
    expect([10, 10, 10, 10].map((now) => server.accept(now))).toEqual([11, 12, 13, Infinity]);
    expect(server.accept(11)).toBe(14);
    expect(server.accept(11)).toBe(Infinity);
  });
});

describe('Tally', () => {
  it('has the times when 99 % and all were served, and the busiest second', () => {
    const tally = new Tally(200, 1_000, 4_000);
    for (const now of [50, 950, 1_049, 1_050, 2_949]) tally.dial(now);
    for (let client = 1; client <= 200; client++) tally.serve(1_000 + 10 * client);
    expect(tally.outcome(100)).toMatchObject({ served: 200, t99: 1_980, t100: 2_000, lowerBound: 2_000 });
    // Spans of 100 ms: 0, 9, 10, 10 and 29; three of them lie within ten spans.
    expect(tally.outcome(100)).toMatchObject({ attempts: 5 / 200, peak: 3 / 200 });
  });
});

describe('fleet()', () => {
  it.each(everyone.map((one) => [one.name, one] as const))(
    '%s: all clients are served, and not faster than the capacity',
    (_, one) => {
      const outcome = fleet(one, herd);
      expect(outcome.served).toBe(herd.clients);
      expect(outcome.open.at(-1)).toBe(herd.clients);
      expect(sum(outcome.dials)).toBe(Math.round(outcome.attempts * herd.clients));
      expect(outcome.lowerBound).toBe(2_000);
      expect(outcome.t100).toBeGreaterThanOrEqual(outcome.lowerBound - 1e-6);
      expect(outcome.t99).toBeGreaterThanOrEqual(0.99 * outcome.lowerBound - 1e-6);
      expect(outcome.t99).toBeLessThanOrEqual(outcome.t100!);
      expect(outcome.syns).toBeGreaterThanOrEqual(outcome.attempts);
      expect(outcome.attempts).toBeGreaterThanOrEqual(1);
      expect(overtaken(outcome)).toEqual([]);
    },
  );

  it('has the same outcome for the same seed, and another one for another seed', () => {
    expect(plain(fleet(ours, herd))).toEqual(plain(fleet(ours, herd)));
    expect(plain(fleet(ours, herd))).not.toEqual(plain(fleet(ours, { ...herd, seed: 2 })));
  });

  it('lets a client that waits 1 s dial about once in each second of the outage', () => {
    const outcome = fleet(
      policy(() => () => 1_000),
      { ...herd, clients: 20, outage: 10_500, capacity: 1_000 },
    );
    // Dials at 1 s and then at intervals of a second and a round trip of at most 0.2 s: 9 to 11 of them.
    expect(outcome.attempts).toBeGreaterThanOrEqual(9);
    expect(outcome.attempts).toBeLessThanOrEqual(11);
    expect(outcome.syns).toBe(outcome.attempts);
  });

  it('lets the kernel send a dropped SYN again until the connect timeout', () => {
    const crowded = { ...herd, clients: 2, backlog: 1, capacity: 1, outage: 1, patience: 60_000 };
    // Both arrive within 0.2 s; one is served in a second, the other comes at 1, 3, 7 s and then by a dial of its own.
    const patient = fleet(
      policy(() => () => 100, 10_000),
      crowded,
    );
    expect(patient).toMatchObject({ served: 2, attempts: 1, syns: 1.5 });
    const hasty = fleet(
      policy(() => () => 100, 900),
      crowded,
    );
    expect(hasty).toMatchObject({ served: 2, attempts: 1.5, syns: 1.5 });
  });

  it('counts a wait from the start of the dial if the policy does', () => {
    const crowded = { ...herd, clients: 2, backlog: 1, capacity: 0.2, outage: 1, patience: 60_000, resends: [] };
    const first = ({ attempt }: { attempt: number }) => (attempt === 1 ? 100 : 3_000);
    const fromEnd = fleet(
      policy(() => first, 4_000),
      crowded,
    );
    const fromStart = fleet({ ...policy(() => first, 4_000), waitsFrom: 'start' }, crowded);
    // Dials at 0.1 s, then: each 7 s, or each 4 s.
    expect(fromEnd.dials.findLastIndex((count) => count > 0) * SPAN).toBeGreaterThanOrEqual(7_000);
    expect(fromStart.dials.findLastIndex((count) => count > 0) * SPAN).toBeLessThan(9_000);
    expect(fromStart.attempts).toBe(2);
    expect(fromEnd.attempts).toBe(1.5);
  });

  it('ends although some clients never come back', () => {
    const outcome = fleet(
      policy(() => () => 200_000),
      { ...herd, patience: 10_000 },
    );
    expect(outcome).toMatchObject({ served: 0, attempts: 0, t99: undefined, t100: undefined });
  });
});

describe('lone()', () => {
  const trip = 100.5;

  it('has half of a constant wait as its mean', () => {
    const { mean, p99, attempts } = lone(
      policy(() => () => 2_000),
      30_000,
      1,
    );
    expect(mean).toBeGreaterThan(0.98 * ((2_000 + trip) / 2));
    expect(mean).toBeLessThan(1.02 * ((2_000 + trip) / 2));
    expect(p99).toBeLessThan(2_200);
    expect(attempts).toBeGreaterThan(30_000 / (2_000 + trip) - 0.5);
    expect(attempts).toBeLessThan(30_000 / (2_000 + trip) + 1.5);
  });

  it('has E[W²] / 2 E[W] as its mean with full jitter at the cap', () => {
    const full = (random: () => number) =>
      exponentialBackoff({ initialDelay: 1_000, maxDelay: 1_000, jitter: 'full', random });
    // For W = U + T with U even from 0 to 1 s and T even from 1 to 200 ms.
    const first = 500 + trip;
    const second = 1_000 ** 2 / 12 + (200 ** 2 - 1) / 12 + first ** 2;
    const { mean } = lone(policy(full), 30_000, 1, 5_000);
    expect(mean / (second / (2 * first))).toBeGreaterThan(0.97);
    expect(mean / (second / (2 * first))).toBeLessThan(1.03);
  });

  it('agrees with a fleet of one client', () => {
    const waits = Array.from({ length: 200 }, (_, seed) => fleet(ours, { ...herd, clients: 1, seed }).t100! - 1);
    const average = sum(waits) / waits.length;
    const { mean } = lone(ours, herd.outage, 1);
    expect(average / mean).toBeGreaterThan(0.8);
    expect(average / mean).toBeLessThan(1.25);
  });
});

describe('Dials', () => {
  /** Clients that are 5 ms away from a server that comes back at 1 s and serves `room` clients in 100 s. */
  function dials({ clients = 1, room = 1, connectTimeout = 900, resends = [1_000, 3_000] } = {}) {
    const heard: string[] = [];
    const say =
      (what: string) =>
      (client: number, now: number, took: number): void =>
        void heard.push(`${now} ${what} ${client} ${took}`);
    const dialler: Dialler = {
      way: () => 5,
      connected: say('connected'),
      overdue: say('overdue'),
      failed: (client, now, took, isRefused) => say(isRefused ? 'refused' : 'silent')(client, now, took),
    };
    const server = new Server({ capacity: room / 100, backlog: room, listensAt: 1_000 });
    const tally = new Tally(clients, 1_000, 30_000);
    const made = new Dials({ clients, connectTimeout, resends, random: seeded(1) }, server, tally, dialler);
    let now = 0;
    const pass = (until: number) => {
      while (now < until) made.take(++now);
    };
    return { made, tally, heard, pass };
  }

  it('are refused while the server is down', () => {
    const { made, heard, pass } = dials();
    pass(100);
    made.begin(0, 100, 50);
    pass(2_000);
    expect(heard).toEqual(['110 refused 0 10']);
  });

  it('connect after a round trip if the queue has room, and are not overdue afterwards', () => {
    const { made, tally, heard, pass } = dials();
    pass(1_000);
    made.begin(0, 1_000, 50);
    pass(5_000);
    expect([heard, tally.served]).toEqual([['1010 connected 0 10'], 1]);
  });

  it('are overdue after their patience if the queue is full, and fail once, even with a second dial', () => {
    const { made, tally, heard, pass } = dials({ clients: 2 });
    pass(1_000);
    made.begin(0, 1_000, undefined);
    pass(1_100);
    made.begin(1, 1_100, 50);
    pass(1_150);
    made.hedge(1, 1_150, 60);
    pass(1_210);
    made.hedge(1, 1_210, undefined);
    pass(200_000);
    expect(heard).toEqual(['1010 connected 0 10', '1150 overdue 1 50', '1210 overdue 1 60', '2000 silent 1 900']);
    expect([made.hedges, tally.served]).toEqual([2, 1]);
  });

  it('cancel all their packets when they fail', () => {
    const { made, tally, heard, pass } = dials({ clients: 2, resends: [850], connectTimeout: 900 });
    pass(1_000);
    made.begin(0, 1_000, undefined);
    pass(1_100);
    made.begin(1, 1_100, 50);
    pass(1_990);
    // The deadline of the first is in 10 ms: it ends both.
    made.hedge(1, 1_990, 5_000);
    pass(200_000);
    expect(heard).toEqual(['1010 connected 0 10', '1150 overdue 1 50', '2000 silent 1 900']);
    expect(tally.outcome(1).syns * 2).toBe(4);
  });

  it('connect by the first answer, and the connection of the other dial is wasted', () => {
    const { made, tally, heard, pass } = dials({ room: 2 });
    pass(1_000);
    made.begin(0, 1_000, undefined);
    made.hedge(0, 1_000, undefined);
    pass(5_000);
    expect([heard, made.wasted, tally.served]).toEqual([['1010 connected 0 10'], 1, 1]);
  });
});

describe('crowd()', () => {
  const crowds = [
    [20, 100],
    [2, 1_000],
    [2_000, 1],
  ] as const;

  it.each(crowds)(
    '%i processes with %i connections: all clients are served, and not faster than the capacity',
    (processes) => {
      const outcome = crowd(ours, { ...herd, processes });
      expect(outcome.served).toBe(herd.clients);
      expect(outcome.t100).toBeGreaterThanOrEqual(outcome.lowerBound - 1e-6);
      expect(sum(outcome.dials)).toBe(Math.round(outcome.attempts * herd.clients));
      expect(outcome.wasted).toBeLessThan(0.1);
      expect(overtaken(outcome)).toEqual([]);
    },
  );

  it('has the same outcome for the same seed', () => {
    expect(plain(crowd(ours, { ...herd, processes: 20 }))).toEqual(plain(crowd(ours, { ...herd, processes: 20 })));
  });

  it('dials less than half as often as clients without pools', () => {
    const long = { ...herd, outage: 30_000 };
    expect(crowd(ours, { ...long, processes: 2 }).attempts).toBeLessThan(0.5 * fleet(ours, long).attempts);
  });

  it.each([500, 5_000, 30_000])(
    'makes one connection for each client if the queue has room for all, after %i ms',
    (outage) => {
      const roomy = { ...herd, outage, backlog: 1_000_000 };
      expect(crowd(ours, { ...roomy, processes: 10 })).toMatchObject({ served: 2_000, hedges: 0, wasted: 0 });
    },
  );

  it('connects all clients when the first has connected, long before their own waits end', () => {
    const long = { ...herd, clients: 400, outage: 60_000, backlog: 1_000_000, processes: 2 };
    // The first one comes within a second, and the others within some round trips of at most 0.2 s.
    expect(crowd(ours, long).t100).toBeLessThan(3_500);
    expect(fleet(ours, long).t100).toBeGreaterThan(5_000);
  });

  it('wastes hardly any connections of a server whose queue is full for long', () => {
    const full = { ...herd, processes: 200, capacity: 500, backlog: 100 };
    const { served, hedges, wasted } = crowd(ours, full);
    expect(served).toBe(herd.clients);
    expect(hedges).toBeGreaterThan(0.1);
    expect(hedges).toBeLessThan(1.5);
    expect(wasted).toBeLessThan(0.1);
  });

  it('lets clients that wait for a silent server fail after their own connect timeout', () => {
    let waits = 0;
    const counted = policy(
      () => () => {
        waits += 1;
        return 1_000;
      },
      1_000,
    );
    // It takes one, and then has no room for 1,000 s.
    const silent = { ...herd, clients: 50, capacity: 0.001, backlog: 1, outage: 1, patience: 20_000, processes: 1 };
    const { served, attempts } = crowd(counted, silent);
    expect(served).toBe(1);
    // Each waits 1 s and then is out of patience after 1 s, 10 times; few of them dial.
    expect(waits).toBeGreaterThan(50 * 8);
    expect(attempts).toBeLessThan(2);
  });

  it('rejects a number of clients that the processes cannot share evenly', () => {
    expect(() => crowd(ours, { ...herd, processes: 7 })).toThrow(RangeError);
  });
});

describe('restart()', () => {
  const rolling: Restart = { clients: 600, targets: 3, outage: 1_000, isRolling: true, seed: 1 };

  it('has the same outcome for the same seed, and another for another', () => {
    expect(restart(ours, rolling)).toEqual(restart(ours, rolling));
    expect(restart(ours, rolling)).not.toEqual(restart(ours, { ...rolling, seed: 2 }));
  });

  it.each([undefined, 2])(
    'has the clients of one target away, and of two while those of the first are on their way back (%p pools)',
    (processes) => {
      const prompt = policy(() => () => 100, 10_000);
      const outcome = restart(prompt, { ...rolling, ...(processes && { processes }) });
      expect(outcome.away).toBeGreaterThanOrEqual(200);
      expect(outcome.away).toBeLessThanOrEqual(400);
      // The last target is down from the third second on.
      expect(outcome.whole).toBeGreaterThan(3_000);
      expect(outcome.t99).toBeLessThanOrEqual(outcome.slowest);
    },
  );

  it('has as many dials as its targets one by one, and all clients away if all targets are restarted at once', () => {
    const atOnce = restart(ours, { ...rolling, isRolling: false });
    expect(atOnce.away).toBe(600);
    expect(atOnce.attempts).toBe(restart(ours, rolling).attempts);
    expect(atOnce.peak).toBeGreaterThan(restart(ours, rolling).peak);
    expect(atOnce.whole).toBeGreaterThan(1_000);
  });

  it('rejects a number of clients that the targets cannot share evenly', () => {
    expect(() => restart(ours, { ...rolling, targets: 7 })).toThrow(RangeError);
  });

  it('is printed by npm run bench:herd, however small', () => {
    const text = restartPage({ clients: 40, targets: 4 }, 1);
    expect(text).toContain('### 4 targets, one after the other');
    expect(text.match(/^\| reconnecting-connection, 1 pools of 40 \|/gm)).toHaveLength(2);
    expect(text).not.toMatch(/undefined|NaN|Infinity/);
  });
});

describe('policies', () => {
  const named = (name: string) => everyone.find((one) => one.name === name)!;
  const waits = (one: Policy, count: number, random = () => 0.5) => {
    const backoff = one.backoff(random);
    const drawn: number[] = [];
    for (let attempt = 1; attempt <= count; attempt++) {
      const previousDelay = drawn.at(-1);
      drawn.push(backoff({ attempt, generation: 1, ...(previousDelay !== undefined && { previousDelay }) })!);
    }
    return drawn;
  };

  it.each<[string, number[]]>([
    ['connman', [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 204_800]],
    ['reconnect-net', [1_000, 1_000, 2_000, 3_000, 5_000, 8_000, 13_000, 21_000, 30_000, 30_000]],
    ['gRPC', [0, 1_000, 1_600, 2_560, 4_096]],
    ['socket.io', [1_250, 2_500, 5_000, 5_000]],
    ['AWS full', [50, 100, 200, 400]],
    ['AWS equal', [75, 150, 300, 600]],
    ['AWS decorrelated', [200, 350, 575]],
  ])('%s waits as published', (name, expected) => {
    expect(waits(named(name), expected.length).map((wait) => Math.round(wait))).toEqual(expected);
  });

  const installed = join(__dirname, '../../benchmarks/package.json');
  const missing = arePeersInstalled() ? undefined : 'npm ci --prefix benchmarks was not run';
  const real = missing === undefined ? it : it.skip;
  real(titled('reconnect-net waits as its package `backoff` does', missing), () => {
    // `as`: the package has no types.
    const { FibonacciStrategy } = createRequire(installed)('backoff') as {
      FibonacciStrategy: new (options: object) => { next(): number };
    };
    const strategy = new FibonacciStrategy({ initialDelay: 1e3, maxDelay: 30e3 });
    expect(waits(named('reconnect-net'), 12)).toEqual(Array.from({ length: 12 }, () => strategy.next()));
  });

  it('the default waits as one of the candidates does', () => {
    const found = defaultCandidate();
    expect(found).toBeDefined();
    const chance = () => seeded(9);
    expect(waits(ours, 50, chance())).toEqual(waits(found!, 50, chance()));
    expect(ours.waits).toBe(found!.waits);
  });

  it('candidates stay within their bounds, and reach the cap', () => {
    for (const one of candidates()) {
      const [first, ...later] = waits(asPolicy(one), 100, seeded(4));
      expect(first).toBeLessThanOrEqual(one.first);
      expect(Math.min(...later)).toBeGreaterThanOrEqual(one.base);
      expect(Math.max(...later)).toBeLessThanOrEqual(one.cap);
      expect(Math.max(...later)).toBeGreaterThan(0.9 * one.cap);
    }
  });
});

describe('the choice', () => {
  it('front() leaves out the rows that another row beats', () => {
    const row = (a: number, b: number) => ({ costs: { a, b } });
    const rows = [row(1, 5), row(2, 2), row(2, 3), row(5, 1), row(5, 5), row(2, 2)];
    expect(front(rows)).toEqual([rows[0], rows[1], rows[3], rows[5]]);
  });

  it('compared() is the geometric mean of the ratios of the costs', () => {
    const row = measure(candidates()[0]!, 1, 500, 50);
    expect(compared(row, row)).toBeCloseTo(1);
    const costs = Object.fromEntries(Object.entries(row.costs).map(([name, cost]) => [name, 2 * Number(cost)]));
    // `as`: the same names.
    expect(compared({ ...row, costs: costs as unknown as typeof row.costs }, row)).toBeCloseTo(2);
  });
});

describe('page()', () => {
  const candidate = candidates().find((one) => asPolicy(one).name === defaultCandidate()!.name)!;
  const chosen = measure(candidate, 1, 500, 50);
  const outcome = fleet(ours, herd);
  const findings: Findings = {
    seed: 42,
    scenarios: [{ clients: 2_000, outage: 5_000, runs: [{ policy: ours, outcome }] }],
    lone: [{ policy: ours, after: [1_000, 30_000, 600_000].map((outage) => lone(ours, outage, 1, 100)) }],
    crowds: [
      {
        clients: 2_000,
        outage: 5_000,
        runs: [{ processes: 20, gated: crowd(ours, { ...herd, processes: 20 }), alone: outcome }],
      },
    ],
    restarts: restartPage({ clients: 400, targets: 2 }, 42),
    candidates: [chosen],
    chosen,
  };

  it('has its command and seed, and the figures of the run', () => {
    const text = page(findings);
    expect(text).toContain('npm run bench:herd -- --write');
    expect(text).toContain('seed 42');
    expect(text).toContain('### 2,000 clients, 5 s');
    expect(text).toContain('### Pools: 2,000 clients, 5 s');
    expect(text).toContain(`| reconnecting-connection | ${outcome.attempts.toFixed(1)} |`);
    expect(text).toContain(`**${chosen.name}**`);
    expect(text).not.toMatch(/undefined|NaN|Infinity|\[object/);
  });

  it('is not written if the default is not among the candidates', () => {
    expect(() => page({ ...findings, chosen: undefined })).toThrow('not among the candidates');
  });
});

describe('the ejection of members', () => {
  const DEFAULTS = { failures: 5, baseTime: 30_000, maxShare: 0.1, panicShare: 0.5 };
  const mute = { members: 10, bad: 1, fault: 'mute', seed: 1 } as const;

  it('gives the same figures for the same seed', () => {
    expect(ejection(mute, DEFAULTS)).toEqual(ejection(mute, DEFAULTS));
  });

  it('saves most writes to a mute server, and loads no other with more than its share of these', () => {
    const without = ejection(mute, undefined);
    const { lost, busiest } = ejection(mute, DEFAULTS);
    expect(without).toMatchObject({ ejections: 0, idle: 0 });
    // A tenth of the writes.
    expect(Math.abs(without.lost - 0.1)).toBeLessThan(0.005);
    expect(lost).toBeLessThan(without.lost / 5);
    expect(busiest).toBeLessThan(1.15);
  });

  it('does nothing where all servers reset their sessions', () => {
    const all = { members: 10, bad: 10, fault: 'resets', seed: 1 } as const;
    expect(ejection(all, DEFAULTS)).toEqual(ejection(all, undefined));
  });

  it('leaves a server that was restarted out for no longer than its session takes to be healthy', () => {
    const { lost, ejections, idle } = ejection({ members: 3, bad: 3, fault: 'restarts', seed: 1 }, DEFAULTS);
    expect(lost).toBe(0);
    expect(ejections).toBeGreaterThan(0);
    expect(idle).toBeLessThanOrEqual(ejections * 5.1);
  });
});
