import { DECAY, Latencies } from '../../lib/pool/latencies';
import { type Candidate, selector } from '../../lib/pool/selection';

/** A random number generator that returns the same sequence in each run. */
function seeded(): () => number {
  let state = 1;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}

/** Latencies with a clock that a test sets. */
function start() {
  const clock = { now: 1_000 };
  const latencies = new Latencies(() => clock.now);
  const [one, other] = [{}, {}];
  /** `candidate` is chosen, and answers after so many milliseconds. */
  const measure = (candidate: object, took: number) => {
    latencies.chosen(candidate);
    clock.now += took;
    latencies.answered(candidate);
  };
  return { clock, latencies, one, other, measure };
}

describe('the cost of a candidate', () => {
  it('is 0 where nothing is known, and Infinity while its first answer is awaited', () => {
    const { latencies, one } = start();
    expect(latencies.cost(one)).toBe(0);
    latencies.chosen(one);
    expect(latencies.cost(one)).toBe(Infinity);
    latencies.answered(one);
    expect(latencies.cost(one)).toBe(0);
  });

  it('is the time from the first choice to the next answer', () => {
    const { latencies, one, clock } = start();
    latencies.chosen(one);
    clock.now += 30;
    latencies.chosen(one);
    clock.now += 10;
    latencies.answered(one);
    expect(latencies.cost(one)).toBe(40);
  });

  it('is multiplied by the writes that wait for an answer, and one', () => {
    const { latencies, one, measure } = start();
    measure(one, 10);
    latencies.chosen(one);
    latencies.chosen(one);
    expect(latencies.cost(one)).toBe(30);
  });

  it('rises at once, and falls slowly', () => {
    const { latencies, one, measure } = start();
    measure(one, 10);
    measure(one, 500);
    expect(latencies.cost(one)).toBe(500);
    measure(one, 10);
    expect(latencies.cost(one)).toBeGreaterThan(495);
    for (let count = 0; count < 1_000; count++) measure(one, 10);
    expect(latencies.cost(one)).toBeCloseTo(10 + 490 * Math.exp(-1), -1);
  });

  it('rises while an answer is overdue, until none is expected any more', () => {
    const { latencies, one, measure, clock } = start();
    measure(one, 10);
    latencies.chosen(one);
    clock.now += 2_000;
    expect(latencies.cost(one)).toBe(4_000);
    clock.now += DECAY;
    expect(latencies.cost(one)).toBeLessThan(10);
    latencies.chosen(one);
    clock.now += 20;
    latencies.answered(one);
    expect(latencies.cost(one)).toBe(20);
  });

  it('fades, so that a candidate that was slow is tried again', () => {
    const { latencies, one, other, measure, clock } = start();
    measure(one, 500);
    clock.now += 5 * DECAY;
    measure(other, 10);
    expect(latencies.cost(one)).toBeLessThan(latencies.cost(other));
  });

  it('ignores what nobody has asked for, and forgets a candidate whose session is over', () => {
    const { latencies, one, measure } = start();
    latencies.answered(one);
    expect(latencies.cost(one)).toBe(0);
    measure(one, 10);
    latencies.answered(one);
    expect(latencies.cost(one)).toBe(10);
    latencies.forget(one);
    expect(latencies.cost(one)).toBe(0);
  });
});

describe('peak-ewma', () => {
  type Server = Candidate & { took: number; served: number; busyUntil: number };

  /** One request a millisecond to three servers that each answer one after the other. Returns the share of each. */
  function simulate(servers: Server[], milliseconds: number, world: ReturnType<typeof newWorld>): number[] {
    for (const server of servers) server.served = 0;
    const end = world.now + milliseconds;
    for (; world.now < end; world.now += 1) {
      for (const due of world.answers.get(world.now) ?? []) world.latencies.answered(due);
      world.answers.delete(world.now);
      const chosen = world.select(servers)!;
      world.latencies.chosen(chosen);
      chosen.served += 1;
      const at = Math.ceil(Math.max(world.now, chosen.busyUntil) + chosen.took);
      chosen.busyUntil = at;
      world.answers.set(at, [...(world.answers.get(at) ?? []), chosen]);
    }
    return servers.map(({ served }) => served / milliseconds);
  }

  function newWorld() {
    const world = { now: 1, answers: new Map<number, Server[]>() };
    const latencies = new Latencies(() => world.now);
    const select = selector<Server>('peak-ewma', seeded(), (server) => latencies.cost(server));
    return Object.assign(world, { latencies, select });
  }

  it('gives a slow one of three far less than its share, and its share again when it has recovered', () => {
    const world = newWorld();
    const servers = ['a', 'b', 'c'].map((tag) => ({ tag, pendingBytes: 0, took: 1, served: 0, busyUntil: 0 }));
    for (const share of simulate(servers, 10_000, world)) expect(share).toBeGreaterThan(0.2);
    servers[1]!.took = 100;
    const [, slow = 1] = simulate(servers, 20_000, world);
    expect(slow).toBeLessThan(0.01);
    servers[1]!.took = 1;
    // It is tried again when what was measured has faded.
    simulate(servers, 10 * DECAY, world);
    for (const share of simulate(servers, 10_000, world)) expect(share).toBeGreaterThan(0.1);
  });

  it('gives a candidate that never answers next to nothing', () => {
    const world = newWorld();
    const servers = ['a', 'b', 'c'].map((tag) => ({ tag, pendingBytes: 0, took: 1, served: 0, busyUntil: 0 }));
    servers[1]!.took = Infinity;
    const [, mute = 1] = simulate(servers, 30_000, world);
    expect(mute).toBeLessThan(0.001);
  });
});
