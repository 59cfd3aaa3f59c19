/** The properties of an open member that the selectors use. */
export interface Candidate {
  readonly tag: string;
  readonly pendingBytes: number;
}

/** Selects one of the candidates; there is at least one. */
export type Selector<T extends Candidate = Candidate> = (candidates: readonly T[], key?: string) => T | undefined;

/** Names of the built-in selectors. */
export type SelectorName = 'round-robin' | 'least-pending' | 'random-two' | 'rendezvous';

/** Creates a selector. Round-robin keeps its position, so each pool needs a selector of its own. */
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

/** The candidates in turn. */
function roundRobin(): Selector {
  let last = -1;
  return (candidates) => {
    last = (last + 1) % candidates.length;
    return candidates[last];
  };
}

/** The candidate with the fewest pending bytes; the first of equals. */
function leastPending(candidates: readonly Candidate[]): Candidate | undefined {
  let best = candidates[0];
  for (const candidate of candidates) {
    // `!`: within the loop there is a first candidate.
    if (candidate.pendingBytes < best!.pendingBytes) best = candidate;
  }
  return best;
}

/**
 * The less loaded of two random candidates. This is almost as even as the least loaded of all, and clients with the same
 * stale view do not all choose the same one (Mitzenmacher, The Power of Two Choices, 2001).
 */
function randomTwo(random: () => number): Selector {
  const draw = (count: number) => Math.min(Math.floor(random() * count), count - 1);
  return (candidates) => {
    const first = draw(candidates.length);
    // A single candidate is drawn twice: `draw(0)` is -1.
    const second = (first + 1 + draw(candidates.length - 1)) % candidates.length;
    return leastPending([candidates[first]!, candidates[second]!]);
  };
}

/**
 * The same candidate for the same key as long as it is open; when it goes, only its keys move to others (highest random
 * weight: Thaler and Ravishankar, 1998). Without a key, `fallback` selects.
 */
function rendezvous(fallback: Selector): Selector {
  return (candidates, key) => {
    if (key === undefined) return fallback(candidates);
    const tagCounts = new Map<string, number>();
    let best: Candidate | undefined;
    let bestWeight = -1;
    for (const candidate of candidates) {
      // Members that share a target are distinguished by their order.
      const index = tagCounts.get(candidate.tag) ?? 0;
      tagCounts.set(candidate.tag, index + 1);
      const weight = hash(`${key}\0${candidate.tag}\0${index}`);
      if (weight <= bestWeight) continue;
      best = candidate;
      bestWeight = weight;
    }
    return best;
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
