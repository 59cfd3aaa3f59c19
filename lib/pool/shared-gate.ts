import { BurstLimiter } from './burst-limiter';
import { type WaitingMember, Endpoint } from './endpoint';
import { type EndpointStats, merge } from './endpoint-stats';
import { Turns } from './turns';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';

/**
 * Attempts that a pool begins within a millisecond: about as many as a process can make, so that the limit costs many
 * members that are added at once no time, and yet they do not dial in the same instant.
 */
const BURST = 20;

/** What the members of a pool share: the bound on dials at a time, and their knowledge of each endpoint. */
export class SharedGate {
  /** Undefined where members do not coordinate their dials. */
  readonly burst: BurstLimiter | undefined;
  /** Of members that replace their sessions. */
  readonly turns = new Turns();
  readonly #endpoints: Map<string, Endpoint> | undefined;
  readonly #maxConnecting: number;
  readonly #hedge: boolean;
  readonly #queue = new Set<WaitingMember>();
  readonly #numbers = new WeakMap<object, number>();
  #lastNumber = 0;
  #connecting = 0;

  /** @param hedge - Whether a slow dial may have a second socket. */
  constructor(maxConnecting: number, coordinateDials: boolean, hedge = true) {
    this.#maxConnecting = maxConnecting;
    this.#hedge = hedge;
    if (!coordinateDials) return;
    this.burst = new BurstLimiter(BURST);
    this.#endpoints = new Map();
  }

  /** Attempts that wait for their dial, for whatever reason. */
  get waiting(): number {
    let waiting = this.#queue.size + (this.burst?.waiting ?? 0);
    for (const endpoint of this.#endpoints?.values() ?? []) waiting += endpoint.waiting;
    return waiting;
  }

  /** What is known of each endpoint, by its tag. */
  get endpoints(): Record<string, EndpointStats> {
    // `as`: a new object. Without a prototype, for a tag may be any name.
    const all = Object.create(null) as Record<string, EndpointStats>;
    for (const { tag, stats } of this.#endpoints?.values() ?? []) {
      const other = all[tag];
      all[tag] = other === undefined ? stats : merge(other, stats);
    }
    return all;
  }

  /** The endpoint that a member with these settings reaches at `target`; undefined where dials are not coordinated. */
  addMember(target: ResolvedTarget, settings: Settings): Endpoint | undefined {
    if (this.#endpoints === undefined) return undefined;
    const key = this.#keyOf(target, settings);
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) this.#endpoints.set(key, (endpoint = new Endpoint(key, tagOf(target), this.#hedge)));
    endpoint.members += 1;
    return endpoint;
  }

  removeMember(endpoint: Endpoint): void {
    endpoint.members -= 1;
    if (endpoint.members === 0) this.#endpoints?.delete(endpoint.key);
    else endpoint.memberLeft();
  }

  /** Whether a member may dial at once; otherwise `member.advance()` is called when it may. Each place is to be freed. */
  takePlace(member: WaitingMember): boolean {
    const isFree = this.#connecting < this.#maxConnecting;
    if (isFree) this.#connecting += 1;
    else this.#queue.add(member);
    return isFree;
  }

  /** Forgets `member`. */
  cancel(member: WaitingMember): void {
    this.#queue.delete(member);
  }

  freePlace(): void {
    this.#connecting -= 1;
    for (const next of this.#queue) {
      if (this.#connecting >= this.#maxConnecting) return;
      this.#queue.delete(next);
      this.#connecting += 1;
      next.advance();
    }
  }

  /** Members that reach one address in different ways may not find the same endpoint. */
  #keyOf(target: ResolvedTarget, { dial, socket }: Settings): string {
    const tag = tagOf(target);
    const { localAddress = '', family = 0, lookup } = socket;
    const custom = dial ?? lookup;
    if (custom === undefined && localAddress === '' && family === 0) return tag;
    return `${tag} ${localAddress} ${family} ${custom === undefined ? 0 : this.#numberOf(custom)}`;
  }

  #numberOf(custom: object): number {
    const number = this.#numbers.get(custom) ?? ++this.#lastNumber;
    this.#numbers.set(custom, number);
    return number;
  }
}
