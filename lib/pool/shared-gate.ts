import { type EndpointStats, Endpoint, together } from './endpoint';
import type { Gate, Member, Pass } from '../attempt/dial-gate';
import { BurstLimiter } from './burst-limiter';
import { type Porter, DialSlot } from './dial-slot';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';
import { KeepAlive } from '../timers/keep-alive';

/**
 * Attempts that a pool begins within a millisecond: about as many as one process can make, so that many members that
 * join at once cost no time by it, and yet do not knock in the same instant.
 */
const BURST = 20;

/** The gate of a pool: what its members share, so that they dial in an order and learn from each other. */
export class SharedGate implements Gate, Porter {
  /** Both undefined where members know nothing of each other. */
  readonly pace: BurstLimiter | undefined;
  readonly #endpoints: Map<string, Endpoint> | undefined;
  readonly #limit: number;
  readonly #vigil = new KeepAlive();
  readonly #queue = new Set<DialSlot>();
  readonly #makers = new WeakMap<object, number>();
  #lastMaker = 0;
  #inside = 0;
  #waiting = 0;

  constructor(limit: number, shares: boolean) {
    this.#limit = limit;
    if (!shares) return;
    this.pace = new BurstLimiter(BURST);
    this.#endpoints = new Map();
  }

  /** Attempts that wait to be let through, for whatever reason. */
  get waiting(): number {
    return this.#waiting;
  }

  /** What is known of each endpoint, by its tag. */
  get endpoints(): Record<string, EndpointStats> {
    // `as`: a new object. Without a prototype, for a tag may be any name.
    const all = Object.create(null) as Record<string, EndpointStats>;
    for (const { tag, stats } of this.#endpoints?.values() ?? []) {
      const other = all[tag];
      all[tag] = other === undefined ? stats : together(other, stats);
    }
    return all;
  }

  join(member: Member, settings: Settings): Pass {
    return new DialSlot(this, member, settings);
  }

  /** The endpoint that a member means by `target`, where members share what they know: one more does so now. */
  share(target: ResolvedTarget, settings: Settings): Endpoint | undefined {
    if (this.#endpoints === undefined) return undefined;
    const key = this.#keyOf(target, settings);
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) this.#endpoints.set(key, (endpoint = new Endpoint(key, tagOf(target))));
    endpoint.join();
    return endpoint;
  }

  /** One fewer shares it. What nobody shares is forgotten. */
  unshare(endpoint: Endpoint): void {
    if (!endpoint.leave()) this.#endpoints?.delete(endpoint.key);
  }

  /** Whether `pass` is inside now; if not, it is told when it is. */
  enter(pass: DialSlot): boolean {
    const fits = this.#inside < this.#limit;
    if (fits) this.#inside += 1;
    else this.#queue.add(pass);
    return fits;
  }

  /** It does not wait to get inside any more. */
  withdraw(pass: DialSlot): void {
    this.#queue.delete(pass);
  }

  /** One of those inside has left. */
  exit(): void {
    this.#inside -= 1;
    for (const next of this.#queue) {
      if (this.#inside >= this.#limit) return;
      this.#queue.delete(next);
      this.#inside += 1;
      next.proceed();
    }
  }

  /** One more waits, or one fewer; while one does that holds the process, so does the gate. */
  count(change: 1 | -1, held: boolean): void {
    this.#waiting += change;
    if (held) this.hold(change);
  }

  hold(change: 1 | -1): void {
    if (change === 1) this.#vigil.join();
    else this.#vigil.leave();
  }

  /** Two that look for one address in different ways may not find the same. */
  #keyOf(target: ResolvedTarget, { dial, socket }: Settings): string {
    const tag = tagOf(target);
    const { localAddress = '', family = 0, lookup } = socket;
    const maker = dial ?? lookup;
    if (maker === undefined && localAddress === '' && family === 0) return tag;
    return `${tag} ${localAddress} ${family} ${maker === undefined ? 0 : this.#numberOf(maker)}`;
  }

  #numberOf(maker: object): number {
    const number = this.#makers.get(maker) ?? ++this.#lastMaker;
    this.#makers.set(maker, number);
    return number;
  }
}
