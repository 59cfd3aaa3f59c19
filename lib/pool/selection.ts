/** What a choice among open members can be made from. */
export interface Candidate {
  readonly tag: string;
  readonly pendingBytes: number;
}

/** Chooses one of several candidates, of which there is at least one. */
export type Selector<T extends Candidate = Candidate> = (candidates: readonly T[], key?: string) => T | undefined;

/** Names of the ready selectors. */
export type SelectorName = 'round-robin' | 'least-pending' | 'random-two' | 'rendezvous';

/** Makes a selector: round-robin remembers its turn, and so each pool has one of its own. */
export function selector(name: SelectorName, random: () => number = Math.random): Selector {
  switch (name) {
    case 'round-robin':
      return roundRobin();
    case 'least-pending':
      return leastPending;
    case 'random-two':
      return randomTwo(random);
    case 'rendezvous':
      return rendezvous(roundRobin());
  }
}

/** One after the other. */
function roundRobin(): Selector {
  let turn = -1;
  return (candidates) => {
    turn = (turn + 1) % candidates.length;
    return candidates[turn];
  };
}

/** The one with the fewest bytes pending; the first of equals. */
function leastPending(candidates: readonly Candidate[]): Candidate | undefined {
  let best = candidates[0];
  for (const candidate of candidates) {
    // `!`: there is a first one where there is any.
    if (candidate.pendingBytes < best!.pendingBytes) best = candidate;
  }
  return best;
}

/** The less loaded of two drawn at random: nearly as even as the least loaded of all, without a herd that follows it. */
function randomTwo(random: () => number): Selector {
  const draw = (count: number) => Math.min(Math.floor(random() * count), count - 1);
  return (candidates) => {
    const first = draw(candidates.length);
    // One alone is drawn twice: `draw(0)` is -1.
    const second = (first + 1 + draw(candidates.length - 1)) % candidates.length;
    return leastPending([candidates[first]!, candidates[second]!]);
  };
}

/**
 * The same candidate for the same key for as long as it is there; when it goes, only its own keys move (highest random
 * weight: Thaler and Ravishankar, 1998). Without a key, as `fallback` says.
 */
function rendezvous(fallback: Selector): Selector {
  return (candidates, key) => {
    if (key === undefined) return fallback(candidates);
    const seen = new Map<string, number>();
    let best: Candidate | undefined;
    let heaviest = -1;
    for (const candidate of candidates) {
      // Members that share a target are told apart by their order.
      const twin = seen.get(candidate.tag) ?? 0;
      seen.set(candidate.tag, twin + 1);
      const weight = hash(`${key}\0${candidate.tag}\0${twin}`);
      if (weight <= heaviest) continue;
      best = candidate;
      heaviest = weight;
    }
    return best;
  };
}

/** FNV-1a over UTF-16 units, finished with MurmurHash3's mixer, for FNV alone leaves similar strings close together. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
