import fc from 'fast-check';

import { type EjectionSettings, type RestoreInfo, EjectionPolicy } from '../../lib/pool/ejection-policy';

const MIN_UPTIME = 50;

/** What the pool knows of a member. */
interface Member {
  openedAt: number | undefined;
  isVouched: boolean;
  /** Whether it has failed since its last healthy session, as the test counts it. */
  isFailing: boolean;
}

/** A pool in figures, with a clock, that checks every promise after every step. */
class Model {
  now = 0;
  readonly members = new Set<Member>();
  readonly policy: EjectionPolicy<Member>;
  readonly #settings: EjectionSettings;
  readonly #ejections = new Map<Member, { at: number; duration: number; ejections: number }>();

  constructor(settings: EjectionSettings) {
    this.#settings = settings;
    this.policy = new EjectionPolicy<Member>(settings, {
      members: this.members,
      isOpen: ({ openedAt }) => openedAt !== undefined,
      isHealthy: (member) => this.#isHealthy(member),
      onEject: (member, { duration, ejections, failures }) => {
        expect(this.#ejections.has(member)).toBe(false);
        expect(failures).toBeGreaterThanOrEqual(settings.failures);
        expect(duration).toBe(settings.baseTime * Math.min(ejections, 10));
        // Out of line: so many others are open, in good order and not ejected.
        const sound = [...this.members].filter((other) => other !== member && this.#isSound(other)).length;
        expect(sound).toBeGreaterThanOrEqual(settings.panicShare * this.members.size);
        this.#ejections.set(member, { at: this.now, duration, ejections });
      },
      onRestore: (member, { duration, ejections }: RestoreInfo) => {
        const ejection = this.#ejections.get(member)!;
        expect(duration).toBe(this.now - ejection.at);
        expect(duration).toBeLessThanOrEqual(ejection.duration);
        expect(ejections).toBe(ejection.ejections);
        this.#ejections.delete(member);
      },
    });
  }

  get open(): Member[] {
    return [...this.members].filter(({ openedAt }) => openedAt !== undefined);
  }

  add(): void {
    this.members.add({ openedAt: this.now, isVouched: false, isFailing: false });
  }

  leave(member: Member): void {
    this.members.delete(member);
    this.#ejections.delete(member);
    this.policy.forget(member, this.now);
  }

  /** The session ends, or the dial of a member that has none fails. */
  fail(member: Member): void {
    const { openedAt } = member;
    const isHealthy = this.#isHealthy(member);
    member.openedAt = undefined;
    member.isVouched = false;
    member.isFailing = true;
    if (openedAt === undefined) this.policy.failed(member, this.now, { reason: 'error' });
    else this.policy.lost(member, this.now, { reason: 'peer-end' }, this.now - openedAt, isHealthy ? 0 : MIN_UPTIME);
  }

  dial(member: Member): void {
    if (member.openedAt !== undefined) return;
    member.openedAt = this.now;
    this.policy.opened(member, this.now, MIN_UPTIME);
  }

  vouch(member: Member): void {
    if (member.openedAt === undefined) return;
    member.isVouched = true;
    this.policy.vouched(member, this.now);
  }

  /** Time passes, and the timer of the pool goes off where it is due. */
  wait(milliseconds: number): void {
    const until = this.now + milliseconds;
    while (this.policy.dueAt <= until) {
      this.now = Math.max(this.now, this.policy.dueAt);
      this.policy.restoreDue(this.now);
    }
    this.now = until;
  }

  check(): void {
    const { maxShare, panicShare } = this.#settings;
    const { size } = this.members;
    const { ejected } = this.policy;
    expect([...ejected]).toEqual([...this.#ejections.keys()]);
    expect(ejected.size).toBeLessThanOrEqual(Math.max(Math.floor(size * maxShare), size >= 3 ? 1 : 0));
    const open = this.open;
    const rest = open.filter((member) => !ejected.has(member));
    const isPanic = rest.length === 0 || rest.length < panicShare * size;
    expect(this.policy.eligible(open)).toEqual(isPanic ? open : rest);
  }

  #isHealthy({ openedAt, isVouched }: Member): boolean {
    return openedAt !== undefined && (isVouched || this.now - openedAt >= MIN_UPTIME);
  }

  #isSound(member: Member): boolean {
    if (member.openedAt === undefined || this.policy.ejected.has(member)) return false;
    return !member.isFailing || this.#isHealthy(member);
  }
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const settings = fc.record({
  failures: fc.integer({ min: 1, max: 6 }),
  baseTime: fc.constantFrom(1, 100, 1_000),
  maxShare: fc.oneof(fc.constant(0.1), share),
  panicShare: fc.oneof(fc.constant(0.5), share),
});
const verb = fc.oneof(
  { weight: 8, arbitrary: fc.constant('flap' as const) },
  { weight: 3, arbitrary: fc.constantFrom('fail' as const, 'dial' as const) },
  { weight: 1, arbitrary: fc.constantFrom('vouch' as const, 'add' as const, 'leave' as const, 'all' as const) },
);
const step = fc.record({ verb, number: fc.oneof(fc.constant(0), fc.nat(20)), wait: fc.constantFrom(0, 1, 60, 500) });

test('whatever happens, the share of ejected members, the panic threshold and the times hold', () => {
  let ejections = 0;
  fc.assert(
    fc.property(settings, fc.integer({ min: 0, max: 20 }), fc.array(step, { maxLength: 60 }), (given, count, steps) => {
      const model = new Model(given);
      for (let number = 0; number < count; number++) model.add();
      model.check();
      for (const { verb, number, wait } of steps) {
        model.wait(wait);
        const member = [...model.members][number % Math.max(1, model.members.size)];
        if (verb === 'add') model.add();
        else if (verb === 'all') for (const each of model.members) model.fail(each);
        else if (member === undefined) continue;
        else if (verb === 'flap') {
          model.dial(member);
          model.fail(member);
        } else model[verb](member);
        model.check();
        ejections += model.policy.ejected.size;
      }
    }),
    { numRuns: 300 },
  );
  // Otherwise it would have tested nothing.
  expect(ejections).toBeGreaterThan(100);
});

const DEFAULTS = { failures: 5, baseTime: 30_000, maxShare: 0.1, panicShare: 0.5 };

/** Ten members, of which the first flaps `times` times. */
function flapping(times: number, options: Partial<EjectionSettings> = {}) {
  const model = new Model({ ...DEFAULTS, ...options });
  for (let number = 0; number < 10; number++) model.add();
  const [first, second] = [...model.members];
  for (let time = 0; time < times; time++) {
    model.dial(first!);
    model.wait(10);
    model.fail(first!);
  }
  return { model, first: first!, second: second! };
}

test('so many failures in a row eject, and one fewer does not', () => {
  expect(flapping(4).model.policy.ejected.size).toBe(0);
  expect(flapping(5).model.policy.ejected.size).toBe(1);
});

test('an ejection lasts longer each time, up to ten times the base', () => {
  const { model, first } = flapping(5);
  const lengths: number[] = [];
  for (let ejection = 0; ejection < 12; ejection++) {
    lengths.push(model.policy.dueAt - model.now);
    model.wait(model.policy.dueAt - model.now);
    expect(model.policy.ejected.size).toBe(0);
    model.dial(first);
    model.fail(first);
  }
  expect(lengths.map((length) => length / 30_000)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
});

test('a healthy session after the ejection, as long as that was, starts all afresh; a shorter one only the failures', () => {
  for (const [uptime, times] of [
    [30_000, 1],
    [1_000, 2],
  ] as const) {
    const { model, first } = flapping(5);
    model.wait(30_000);
    model.dial(first);
    model.wait(uptime);
    model.fail(first);
    expect(model.policy.ejected.size).toBe(0);
    for (let time = 0; time < 4; time++) {
      model.dial(first);
      model.fail(first);
    }
    expect(model.policy.dueAt - model.now).toBe(times * 30_000);
  }
});

test('a session that lasts while the member is ejected proves nothing: it carries no writes', () => {
  const { model, first } = flapping(5);
  model.dial(first);
  model.wait(30_000);
  expect(model.policy.ejected.size).toBe(0);
  model.wait(10);
  model.members.forEach((member) => (member.isFailing = false));
  model.policy.lost(first, model.now, { reason: 'peer-end' }, 30_010, MIN_UPTIME);
  expect(model.policy.ejected.has(first)).toBe(true);
});

test('a member that cannot be dialled makes way for one that flaps', () => {
  const { model, first, second } = flapping(0);
  model.wait(1_000);
  for (let time = 0; time < 6; time++) model.fail(first);
  expect(model.policy.ejected.has(first)).toBe(true);
  for (let time = 0; time < 6; time++) {
    model.dial(second);
    model.fail(second);
  }
  expect([...model.policy.ejected]).toEqual([second]);
});

test('where failed dials alone were the reason, the first healthy session restores, and one that flaps does not', () => {
  const { model, first } = flapping(0);
  model.wait(1_000);
  const down = () => {
    for (let time = 0; time < 6; time++) model.fail(first);
    expect(model.policy.ejected.has(first)).toBe(true);
  };
  down();
  model.dial(first);
  model.wait(MIN_UPTIME - 1);
  expect(model.policy.ejected.has(first)).toBe(true);
  model.wait(1);
  expect(model.policy.ejected.has(first)).toBe(false);
  model.wait(1_000);
  down();
  model.dial(first);
  model.vouch(first);
  expect(model.policy.ejected.has(first)).toBe(false);
  model.wait(1_000);
  down();
  model.dial(first);
  model.fail(first);
  model.dial(first);
  model.wait(1_000);
  expect(model.policy.ejected.has(first)).toBe(true);
});

test('ten thousand members that fail together cost little time, and none is ejected', () => {
  const model = new Model(DEFAULTS);
  for (let number = 0; number < 10_000; number++) model.add();
  let looks = 0;
  const iterator = jest.spyOn(model.members, Symbol.iterator).mockImplementation(function (this: Set<Member>) {
    looks += 1;
    return Set.prototype.values.call(this) as SetIterator<Member>;
  });
  const all = Array.from(Set.prototype.values.call(model.members) as SetIterator<Member>);
  for (let round = 0; round < 8; round++) for (const member of all) model.fail(member);
  iterator.mockRestore();
  expect(model.policy.ejected.size).toBe(0);
  expect(looks).toBeLessThan(5);
});
