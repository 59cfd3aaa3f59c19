import { writeFileSync } from 'node:fs';

import { loadCertificates } from '../kit/certificates';
import { OUTSIDE, namespacesMissing, runInNamespace } from '../kit/namespace';
import { type Finding, differences, growth, holdings, holdingsOnceLike } from './measure';
import { Round } from './stream-round';

/** A stream of numbered frames in both directions, while a nemesis throws faults at it: measured for so many seconds. */
export interface Stream {
  readonly name: string;
  readonly short: number;
  readonly full: number;
  readonly measure: (seconds: number, seed: number) => Promise<Finding>;
}

export const streams: readonly Stream[] = [
  { name: 'stream through a fault proxy', short: 5, full: 90, measure: (...args) => rounds(false, ...args) },
  { name: 'stream in a private network', short: 4, full: 90, measure: inPrivate },
];

/** Seconds of one round at the most: then a new connection begins, with another seed. */
const ROUND = 6;
/** Rounds after which caches are warm and code is compiled. */
const WARM_UP = 4;
/** Rounds that are played whatever time they take. */
const LEAST_ROUNDS = 2;
/** Bytes that a round may leave behind: processes that are started leave some. Frames and fates of a round take far more. */
const ROUND_GROWTH = 131_072;

async function inPrivate(seconds: number, seed: number): Promise<Finding> {
  if (process.env[OUTSIDE] !== undefined) {
    // Kernels that keep little: more is under way in the client when a session dies.
    for (const name of ['tcp_rmem', 'tcp_wmem']) writeFileSync(`/proc/sys/net/ipv4/${name}`, '4096 32768 65536');
    return rounds(true, seconds, seed);
  }
  if (namespacesMissing() !== undefined) return { figures: { skipped: 1 }, problems: [] };
  const { said, stderr } = await runInNamespace('soak/stream-process', [
    'stream in a private network',
    String(seconds),
    String(seed),
  ]);
  // `as`: the program says nothing else.
  return (said.at(-1) as Finding | undefined) ?? { figures: {}, problems: [stderr] };
}

/** One round after the other, each with a seed of its own; what the process holds must not grow. */
async function rounds(isPrivate: boolean, seconds: number, firstSeed: number): Promise<Finding> {
  const certificates = await loadCertificates();
  const figures: Record<string, number> = {};
  const problems: string[] = [];
  const endAt = performance.now() + seconds * 1_000;
  const before = await holdings();
  let warm = before;
  let seed = firstSeed;
  // A machine with much else to do may need all the time for the first.
  const isDone = () => performance.now() >= endAt && seed - firstSeed >= LEAST_ROUNDS;
  for (; !isDone() && problems.length === 0; seed++) {
    const length = Math.min(ROUND, seconds / 2) * 1_000;
    const found = await new Round(seed, certificates, isPrivate).run(length);
    for (const [name, figure] of Object.entries(found.figures)) figures[name] = (figures[name] ?? 0) + figure;
    problems.push(...found.problems);
    if (seed === firstSeed + WARM_UP) warm = await holdingsOnceLike(before);
  }
  const after = await holdingsOnceLike(before);
  problems.push(...differences(before, after));
  const measured = seed - firstSeed - WARM_UP;
  const { figures: grown } = growth(warm, after, measured);
  for (const [name, bytes] of Object.entries(grown)) {
    if (measured > WARM_UP && bytes > measured * ROUND_GROWTH) problems.push(`${name} is ${bytes} bytes`);
  }
  return { figures: { rounds: seed - firstSeed, ...figures, ...grown }, problems };
}
