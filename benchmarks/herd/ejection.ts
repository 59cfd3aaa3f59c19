import { defaultBackoff } from '../../lib/options/backoff';
import { type EjectionSettings, EjectionPolicy } from '../../lib/pool/ejection-policy';
import { Latencies } from '../../lib/pool/latencies';
import { type Selector, selector } from '../../lib/pool/selection';
import { seeded } from './random';

/**
 * What is wrong with some servers: `resets` ends each session after a second and answers nothing, `mute` takes what is
 * written and never answers, `slow` answers after two seconds, `crashes` is down for three seconds and then up for one,
 * `restarts` is down for 20 s once, one server after the other.
 */
export type Fault = 'resets' | 'mute' | 'slow' | 'crashes' | 'restarts';

/** One pool, each member of which has a server of its own. Durations are in milliseconds. */
export interface EjectionCase {
  readonly members: number;
  /** Members whose server has the fault; for `restarts` these are all. */
  readonly bad: number;
  readonly fault: Fault;
  readonly select?: 'round-robin' | 'peak-ewma';
  readonly seed: number;
}

/** What became of the writes. */
export interface EjectionOutcome {
  /** Shares of all writes: without an answer, answered late, and refused because no member was open. */
  readonly lost: number;
  readonly late: number;
  readonly refused: number;
  /** The most writes that a member got within ten seconds, as a multiple of its even share. */
  readonly busiest: number;
  readonly ejections: number;
  /** Seconds, added up, in which a server in good order was connected and left out. */
  readonly idle: number;
}

const LENGTH = 600_000;
const STEP = 5;
const WINDOW = 10_000;
const ROUND_TRIP = 20;
const MIN_UPTIME = 5_000;
/** A heartbeat of `{ interval: 10_000, timeout: 5_000 }` finds a mute session out. */
const HEARTBEAT = 15_000;
const SLOW = 2_000;
/** Servers that restart are down for so long, one after the other. */
const RESTART = 20_000;
const RESTART_INTERVAL = 30_000;

interface Member {
  readonly tag: string;
  readonly pendingBytes: number;
  readonly number: number;
  readonly fault: Fault | undefined;
  openedAt: number | undefined;
  /** When it dials next, while it is not open. */
  dialsAt: number;
  attempt: number;
  previousDelay: number;
  writes: number;
}

/** Simulates a pool that writes 200 times a second, for ten minutes, with `ejection` or (undefined) without. */
export function ejection(given: EjectionCase, settings: EjectionSettings | undefined): EjectionOutcome {
  const simulation = new Simulation(given, settings);
  for (let now = STEP; now <= LENGTH; now += STEP) simulation.take(now);
  return simulation.outcome;
}

class Simulation {
  readonly #case: EjectionCase;
  readonly #members: ReadonlySet<Member>;
  readonly #policy: EjectionPolicy<Member> | undefined;
  readonly #backoff: ReturnType<typeof defaultBackoff>;
  readonly #select: Selector<Member>;
  readonly #latencies: Latencies;
  readonly #answers: { readonly member: Member; readonly at: number }[] = [];
  #now = 0;
  #counts = { writes: 0, lost: 0, late: 0, refused: 0, busiest: 0, ejections: 0, idle: 0 };

  constructor(given: EjectionCase, settings: EjectionSettings | undefined) {
    this.#case = given;
    const random = seeded(given.seed);
    this.#backoff = defaultBackoff({ random });
    const fresh = { pendingBytes: 0, openedAt: undefined, attempt: 0, previousDelay: 0, writes: 0 };
    this.#members = new Set(
      Array.from({ length: given.members }, (_, number) => ({
        ...fresh,
        tag: String(number),
        number,
        fault: number < given.bad || given.fault === 'restarts' ? given.fault : undefined,
        dialsAt: Math.floor(1_000 * random()),
      })),
    );
    this.#policy =
      settings &&
      new EjectionPolicy<Member>(settings, {
        members: this.#members,
        isOpen: ({ openedAt }) => openedAt !== undefined,
        isHealthy: (member) => member.openedAt !== undefined && this.#isHealthy(member),
        onEject: () => (this.#counts.ejections += 1),
        onRestore: () => undefined,
      });
    this.#latencies = new Latencies(() => this.#now);
    this.#select = selector(given.select ?? 'round-robin', random, (member) => this.#latencies.cost(member));
  }

  get outcome(): EjectionOutcome {
    const { writes, lost, late, refused, busiest, ejections, idle } = this.#counts;
    return {
      lost: lost / writes,
      late: late / writes,
      refused: refused / writes,
      busiest,
      ejections,
      idle: idle / 1_000,
    };
  }

  take(now: number): void {
    this.#now = now;
    this.#policy?.restoreDue(now);
    for (const member of this.#members) {
      if (member.openedAt !== undefined) this.#watch(member, member.openedAt);
      else if (now >= member.dialsAt) this.#dial(member);
    }
    while (this.#answers.length > 0 && this.#answers[0]!.at <= now)
      this.#latencies.answered(this.#answers.shift()!.member);
    this.#write();
    if (now % WINDOW === 0) this.#closeWindow();
  }

  /** Whether the server of `member` listens. */
  #isUp({ fault, number }: Member): boolean {
    if (fault === 'crashes') return this.#now % 4_000 >= 3_000;
    if (fault !== 'restarts') return true;
    const since = this.#now - (number + 1) * RESTART_INTERVAL;
    return since < 0 || since >= RESTART;
  }

  #isHealthy({ openedAt = this.#now, previousDelay }: Member): boolean {
    return this.#now - openedAt >= Math.max(MIN_UPTIME, previousDelay);
  }

  #watch(member: Member, openedAt: number): void {
    const uptime = this.#now - openedAt;
    if (!this.#isUp(member)) this.#lose(member, uptime, 'peer-end');
    else if (member.fault === 'resets' && uptime >= 1_000) this.#lose(member, uptime, 'peer-end');
    else if (member.fault === 'mute' && uptime >= HEARTBEAT) this.#lose(member, uptime, 'heartbeat');
  }

  #lose(member: Member, uptime: number, reason: 'peer-end' | 'heartbeat'): void {
    if (this.#isHealthy(member)) member.attempt = 0;
    member.openedAt = undefined;
    this.#latencies.forget(member);
    const enough = MIN_UPTIME + (reason === 'heartbeat' ? HEARTBEAT : 0);
    this.#policy?.lost(member, this.#now, { reason }, uptime, enough);
    this.#wait(member);
  }

  #dial(member: Member): void {
    if (this.#isUp(member)) {
      member.openedAt = this.#now;
      this.#policy?.opened(member, this.#now, MIN_UPTIME);
      return;
    }
    this.#policy?.failed(member, this.#now, { reason: 'error' });
    this.#wait(member);
  }

  #wait(member: Member): void {
    member.attempt += 1;
    const { attempt, previousDelay } = member;
    const delay = this.#backoff({ attempt, generation: 1, ...(attempt > 1 && { previousDelay }) })!;
    member.previousDelay = delay;
    member.dialsAt = this.#now + Math.max(STEP, delay);
  }

  #write(): void {
    const counts = this.#counts;
    counts.writes += 1;
    const open = [...this.#members].filter(({ openedAt }) => openedAt !== undefined);
    const candidates = this.#policy?.eligible(open) ?? open;
    for (const member of open) {
      const isGood = member.fault === undefined || member.fault === 'restarts';
      if (isGood && !candidates.includes(member)) counts.idle += STEP;
    }
    const chosen = candidates.length > 0 ? this.#select(candidates) : undefined;
    if (chosen === undefined) {
      counts.refused += 1;
      return;
    }
    chosen.writes += 1;
    this.#latencies.chosen(chosen);
    if (chosen.fault === 'slow') counts.late += 1;
    else if (chosen.fault !== undefined && chosen.fault !== 'restarts') counts.lost += 1;
    if (chosen.fault === undefined || chosen.fault === 'restarts') this.#answer(chosen, ROUND_TRIP);
    else if (chosen.fault === 'slow') this.#answer(chosen, SLOW);
  }

  #answer(member: Member, after: number): void {
    const at = this.#now + after;
    const place = this.#answers.findIndex((answer) => answer.at > at);
    this.#answers.splice(place < 0 ? this.#answers.length : place, 0, { member, at });
  }

  /** Not while members come in at the start. */
  #closeWindow(): void {
    const even = WINDOW / STEP / this.#case.members;
    for (const member of this.#members) {
      if (this.#now > WINDOW) this.#counts.busiest = Math.max(this.#counts.busiest, member.writes / even);
      member.writes = 0;
    }
  }
}
