/** The properties of an open member that the selectors use. */
export interface Candidate {
  readonly tag: string;
  readonly pendingBytes: number;
}

/** A number by which candidates are compared: the lowest is the best. */
export type Cost<T> = (candidate: T) => number;

/**
 * Selects one of the candidates; there is at least one. One without room is selected only where no other is left, or where
 * it is the one of `key`.
 */
export type Selector<T extends Candidate = Candidate> = (
  candidates: readonly T[],
  key?: string,
  hasRoom?: (candidate: T) => boolean,
) => T | undefined;

/** Names of the built-in selectors. */
export type SelectorName = 'round-robin' | 'least-pending' | 'random-two' | 'peak-ewma' | 'rendezvous';

/**
 * Creates a selector. Round-robin keeps its position, so each pool needs a selector of its own.
 *
 * @param latency - The cost of a candidate for `'peak-ewma'`.
 */
export function selector<T extends Candidate = Candidate>(
  name: SelectorName,
  random: () => number = Math.random,
  latency: Cost<T> = pendingBytes,
): Selector<T> {
  switch (name) {
    case 'round-robin':
      return roundRobin();
    case 'least-pending':
      return (candidates, _key, hasRoom = always) => least(candidates, pendingBytes, hasRoom);
    case 'random-two':
      return twoChoices<T>(random, pendingBytes);
    case 'peak-ewma':
      return twoChoices(random, latency);
    case 'rendezvous':
      return rendezvous(roundRobin());
  }
}

const always = () => true;
const pendingBytes: Cost<Candidate> = (candidate) => candidate.pendingBytes;

/** The candidates in turn. */
function roundRobin<T extends Candidate>(): Selector<T> {
  let last = -1;
  return (candidates, _key, hasRoom = always) => {
    const count = candidates.length;
    for (let step = 0; step < count; step++) {
      last = (last + 1) % count;
      if (hasRoom(candidates[last]!)) return candidates[last];
    }
    last = (last + 1) % count;
    return candidates[last];
  };
}

/** The candidate with the lowest cost, of those with room if there are any; the first of equals. */
function least<T extends Candidate>(
  candidates: readonly T[],
  costOf: Cost<T>,
  hasRoom: (candidate: T) => boolean,
): T | undefined {
  let best: T | undefined;
  let lowest = Infinity;
  for (const candidate of candidates) {
    const cost = costOf(candidate);
    if ((best === undefined || cost < lowest) && hasRoom(candidate)) {
      best = candidate;
      lowest = cost;
    }
  }
  return best ?? (hasRoom === always ? undefined : least(candidates, costOf, always));
}

/**
 * The better of two random candidates. This is almost as even as the best of all, and clients with the same stale view do
 * not all choose the same one (Mitzenmacher, The Power of Two Choices, 2001).
 */
function twoChoices<T extends Candidate>(random: () => number, costOf: Cost<T>): Selector<T> {
  const draw = (count: number) => Math.min(Math.floor(random() * count), count - 1);
  return (candidates, _key, hasRoom = always) => {
    const first = draw(candidates.length);
    // A single candidate is drawn twice: `draw(0)` is -1.
    const second = (first + 1 + draw(candidates.length - 1)) % candidates.length;
    const [one, other] = [candidates[first]!, candidates[second]!];
    const isBetter = costOf(other) < costOf(one);
    const better = isBetter ? other : one;
    if (hasRoom(better)) return better;
    const worse = isBetter ? one : other;
    return hasRoom(worse) ? worse : least(candidates, costOf, hasRoom);
  };
}

/**
 * The same candidate for the same key as long as it is open; when it goes, only its keys move to others (highest random
 * weight: Thaler and Ravishankar, 1998). Without a key, `fallback` selects.
 */
function rendezvous<T extends Candidate>(fallback: Selector<T>): Selector<T> {
  return (candidates, key, hasRoom) => {
    if (key === undefined) return fallback(candidates, undefined, hasRoom);
    const weightOf = weigher(key);
    let best: T | undefined;
    let bestWeight = -1;
    for (const candidate of candidates) {
      const weight = weightOf(candidate.tag);
      if (weight <= bestWeight) continue;
      best = candidate;
      bestWeight = weight;
    }
    return best;
  };
}

/** Returns a function that gives each tag a weight for `key`. Members that share a target are distinguished by their order. */
export function weigher(key: string): (tag: string) => number {
  const counts = new Map<string, number>();
  return (tag) => {
    const index = counts.get(tag) ?? 0;
    counts.set(tag, index + 1);
    return hash(`${key}\0${tag}\0${index}`);
  };
}

/** FNV-1a over UTF-16 units, finished by MurmurHash3's mixer because FNV alone maps similar strings to similar values. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
