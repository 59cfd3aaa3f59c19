import type { Entry, Result } from './contest';
import { band, ratios, summary, values } from './statistics';
import { figureText, ratioText } from './table';

/** A goal of this library. */
export interface Goal {
  readonly subject: string;
  readonly name: string;
  /** Default: `'ours'`. */
  readonly entrant?: string;
  readonly figure: string;
  readonly words: string;
  /** The entrant to compare with; by default the figure itself is the goal. */
  readonly than?: string;
  readonly least?: number;
  readonly most?: number;
}

const SOCKET = 'net.Socket';

const memory = { subject: 'memory', figure: 'heap' } as const;
const cycle = { subject: 'cycle', name: 'warm', figure: 'cpu', words: 'CPU' } as const;
const send = { subject: 'send', figure: 'rate', words: 'messages/s', than: SOCKET } as const;
const asking = { subject: 'round-trip', than: SOCKET } as const;
const bulk = { subject: 'receive', name: 'bulk', figure: 'cpu', words: 'CPU' } as const;
const small = { subject: 'receive', name: 'small', figure: 'user', words: 'user CPU' } as const;
const recovery = { subject: 'recovery', entrant: 'ours, in a pool' } as const;
const tls = { subject: 'memory', name: 'tls' } as const;
const ownOptions = 'ours, an options object each';

/** All goals that these benchmarks can measure, in the order of the page. */
export const goals: readonly Goal[] = [
  { ...memory, name: 'open', entrant: ownOptions, words: 'heap, open', than: SOCKET, most: 1.8 },
  { ...memory, name: 'open', entrant: 'ours, in a pool, a target each', words: 'heap, open', than: SOCKET, most: 2.6 },
  { ...memory, name: 'waiting', entrant: ownOptions, words: 'heap, waiting', than: 'connman', most: 0.4 },
  { ...tls, figure: 'contexts', words: 'secure contexts', most: 1 },
  { ...tls, figure: 'making', words: 'ms to construct', most: 0.1 },
  { ...tls, figure: 'made', words: 'bytes of heap, constructed', most: 2_048 },
  { subject: 'memory', name: 'idle', figure: 'buffers', words: 'bytes of buffers, idle', most: 0 },
  { ...cycle, than: SOCKET, most: 1 },
  { ...cycle, than: 'net.Socket, shaped, keep-alive, addresses', most: 1.2 },
  { ...send, name: '1x64', least: 0.97 },
  { ...send, name: '10x64', least: 4.5 },
  { ...send, name: '100x64', least: 37 },
  { ...send, name: '1000x64', least: 110 },
  { ...send, name: '1x65536', least: 0.97 },
  { ...asking, name: '1', figure: 'p50', words: 'p50', most: 1.03 },
  { ...asking, name: '32', figure: 'rate', words: 'requests/s', least: 4 },
  { ...small, than: SOCKET, most: 0.6 },
  // Watching for silence costs an event nothing.
  { ...small, entrant: 'ours, idleTimeout', than: 'ours', most: 1 },
  { ...bulk, than: 'onread, a fresh 64 KiB each', most: 1.06 },
  { ...bulk, than: SOCKET, most: 1 },
  { ...bulk, entrant: 'ours, reuseReadBuffer', than: 'onread, one lent 256 KiB', most: 1.1 },
  { subject: 'loading', name: 'require', figure: 'cpu', words: 'CPU', than: 'ws', most: 1 },
  // The goal is 560 KiB, measured by a method by which ws takes 573: a ratio does not depend on the method.
  { subject: 'loading', name: 'require', figure: 'heap', words: 'heap', than: 'ws', most: 0.98 },
  ...['1000', '5000'].flatMap((count): Goal[] => [
    { ...recovery, name: `${count}-second`, figure: 'cpu', words: 'CPU', than: 'connman', most: 0.9 },
    { ...recovery, name: `${count}-second`, figure: 'most', words: '99 % served', than: 'connman', most: 0.45 },
    { ...recovery, name: `${count}-second`, figure: 'attempts', words: 'dials each', most: 1.1 },
    { ...recovery, name: `${count}-soon`, figure: 'multiple', words: 'all served, × the outage before', most: 2 },
  ]),
  { subject: 'small', name: 'emit', figure: 'cpu', words: 'CPU', than: "node's emitter", most: 1 },
  { subject: 'small', name: 'hop', figure: 'cpu', words: 'CPU', than: "node's emitter", most: 1 },
];

export type Verdict = 'reached' | 'within the band' | 'missed';

export interface Finding {
  readonly value: number;
  /** The A/A band of the table and figure: see {@link band}. */
  readonly band: number;
  readonly verdict: Verdict;
}

/** The median over the rounds; undefined where it was not measured. There is no verdict within the band. */
export function finding(goal: Goal, results: readonly Result[]): Finding | undefined {
  const result = results.find(({ subject, name }) => subject === goal.subject && name === goal.name);
  const value = result && measured(goal, result);
  if (value === undefined) return undefined;
  const { least, most } = goal;
  const width = band(result!, goal.figure) ?? 1;
  // How many times better than the goal.
  const margin = least === undefined ? ratio(most!, value) : ratio(value, least);
  const verdict = margin < 1 / width ? 'missed' : margin > width || width === 1 ? 'reached' : 'within the band';
  return { value, band: width, verdict };
}

/** 1 for two zeros: a figure of 0 reaches the goal 0. */
function ratio(value: number, other: number): number {
  return value === other ? 1 : value / other;
}

function measured({ entrant = 'ours', figure, than }: Goal, { entries }: Result): number | undefined {
  const named = (wanted: string): Entry | undefined => entries.find(({ name }) => name === wanted);
  const own = named(entrant);
  if (own === undefined) return undefined;
  if (than === undefined) return summary(values(own, figure))?.median;
  const other = named(than);
  return other === undefined ? undefined : summary(ratios(own, other, figure))?.median;
}

/** The goal in words, such as `≤ 1.80 × net.Socket`. */
export function goalText({ than, least, most }: Goal): string {
  const bound = than === undefined ? figureText((least ?? most)!) : `${ratioText((least ?? most)!)} × ${than}`;
  return `${least === undefined ? '≤' : '≥'} ${bound}`;
}

export function findingText({ than }: Goal, { value, band: width, verdict }: Finding): string {
  const text = than === undefined ? figureText(value) : value === 0 ? `${than} never got there` : ratioText(value);
  const around = width === 1 ? '' : ` (band ${width < 10 ? `±${((width - 1) * 100).toFixed(1)} %` : 'over 1000 %'})`;
  return `${text}${around}: ${verdict === 'missed' ? '**missed**' : verdict}`;
}
