import type { Entry, Result } from './contest';
import { ratios, summary, values } from './statistics';
import { figureText, markdown, ratioText } from './table';

/** A goal of this library. */
interface Goal {
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

/** Since Node 22, its own socket allocates fewer buffers. */
const EVENTS = Number(process.versions.node.split('.')[0]) < 22 ? 1.2 : 1;

const receiving = { subject: 'receive', than: SOCKET } as const;
const sending = { subject: 'send', figure: 'rate', words: 'messages/s', than: SOCKET } as const;
const calls = { subject: 'send', figure: 'writes', words: 'system calls a tick', most: 1.1 } as const;
const asking = { subject: 'round-trip', than: SOCKET } as const;
const holding = { subject: 'memory', name: 'idle' } as const;
const cycling = { subject: 'cycle', name: 'reset', figure: 'cpu', words: 'CPU/cycle' } as const;
const recovering = { subject: 'recovery', name: '5000', entrant: 'ours, in a pool' } as const;
const reusing = 'ours, reuseReadBuffer';
const watched = 'ours, idleTimeout';

const goals: readonly Goal[] = [
  { ...receiving, name: 'small-tcp', figure: 'user', words: 'user CPU/event', most: 0.65 },
  { ...receiving, name: 'small-tcp', figure: 'rate', words: 'events/s', least: EVENTS },
  // `idleTimeout` costs nothing an event; two medians may differ by the rest.
  { ...receiving, name: 'small-tcp', entrant: watched, figure: 'cpu', words: 'CPU/event', than: 'ours', most: 1.05 },
  { ...receiving, name: 'bulk-tcp', figure: 'rate', words: 'MB/s', least: 1.15 },
  { ...receiving, name: 'bulk-tcp', figure: 'cpu', words: 'CPU/MB', most: 0.9 },
  { ...receiving, name: 'bulk-tcp', entrant: reusing, figure: 'rate', words: 'MB/s', least: 1.8 },
  { ...receiving, name: 'bulk-tcp', entrant: reusing, figure: 'cpu', words: 'CPU/MB', most: 0.5 },
  { ...sending, name: '1x64', least: 0.9 },
  { ...sending, name: '10x64', least: 4.5 },
  { ...sending, name: '100x64', least: 25 },
  { ...sending, name: '1000x64', least: 40 },
  { ...calls, name: '1x64' },
  { ...calls, name: '10x64' },
  { ...calls, name: '100x64' },
  { ...asking, name: '1', figure: 'p50', words: 'p50', most: 1.05 },
  { ...asking, name: '1', figure: 'p99', words: 'p99', most: 1.05 },
  { ...asking, name: '32', figure: 'p50', words: 'p50', most: 0.25 },
  { ...asking, name: '32', figure: 'rate', words: 'requests/s', least: 4 },
  { ...holding, figure: 'openHeap', words: 'heap, open', than: SOCKET, most: 1.4 },
  { ...holding, figure: 'openHeap', words: 'heap, open', than: 'connman', most: 0.72 },
  { ...holding, figure: 'waitingHeap', words: 'heap, waiting', than: 'connman', most: 0.31 },
  { ...cycling, than: SOCKET, most: 0.5 },
  { ...cycling, than: 'net.Socket, one for all sessions', most: 1.2 },
  { ...recovering, figure: 'most', words: 'time until 99 % are served', than: 'connman', most: 0.45 },
  { ...recovering, figure: 'attempts', words: 'dials a connection', most: 1.15 },
  { ...recovering, figure: 'cpu', words: 'CPU', than: 'connman', most: 0.5 },
  { subject: 'small', name: 'ours', entrant: 'pool hop', figure: 'time', words: 'ns', most: 40 },
];

/** The goals for the figures that were measured, and whether they are reached. */
export function goalTable(results: readonly Result[]): string {
  const rows = goals.flatMap((goal) => {
    const value = reached(goal, results);
    if (value === undefined) return [];
    const { subject, name, entrant = 'ours', words, than, least = -Infinity, most = Infinity } = goal;
    const text = than === undefined ? figureText : (number: number) => `${ratioText(number)} × ${than}`;
    const bound = least > -Infinity ? `≥ ${text(least)}` : `≤ ${text(most)}`;
    const measured =
      than === undefined ? figureText(value) : value === 0 ? `${than} never got there` : ratioText(value);
    const verdict = value >= least && value <= most ? 'reached' : '**not reached**';
    return [[`${subject}, ${name}: ${entrant}`, words, bound, measured, verdict]];
  });
  return rows.length === 0 ? '' : `${markdown(['', 'figure', 'goal', 'measured', ''], rows)}\n`;
}

function reached(
  { subject, name, entrant = 'ours', figure, than }: Goal,
  results: readonly Result[],
): number | undefined {
  const result = results.find(({ contest }) => contest.subject === subject && contest.name === name);
  const named = (wanted: string): Entry | undefined => result?.entries.find((entry) => entry.name === wanted);
  const own = named(entrant);
  if (own === undefined) return undefined;
  if (than === undefined) return summary(values(own, figure))?.median;
  const other = named(than);
  return other === undefined ? undefined : summary(ratios(own, other, figure))?.median;
}
