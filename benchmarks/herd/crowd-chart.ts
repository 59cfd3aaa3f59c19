import type { CrowdOutcome } from './crowd';
import { type Chart, Drawing, MARGIN, TOP, dialsAxis, points } from './drawing';
import { type Outcome, SPAN } from './tally';
import type { Theme } from './theme';
import { count, duration, figure, span } from './words';

/** Processes with pools, with the gate and without it. */
export interface CrowdRun {
  readonly processes: number;
  readonly gated: CrowdOutcome;
  /** The same clients without pools. */
  readonly alone: Outcome;
}

const UPPER = 150;
const LOWER = 130;
const LOWER_TOP = TOP + UPPER + 56;

/** For each number of processes, attempts a second, and below them the share of clients that are back. */
export function crowdChart({ runs, clients, capacity, outage }: Chart<CrowdRun>, theme: Theme): string {
  const bound = (1_000 * clients) / capacity;
  const last = Math.ceil((outage + 2.2 * bound) / 20_000) * 20;
  const xAxis = { max: last, interval: last / 4 };
  const dials = dialsAxis(runs.flatMap(({ gated, alone }) => [gated.dials, alone.dials]));
  const back = { type: 'value', min: 0, max: 100, interval: 50, axisLabel: { formatter: '{value} %' } };

  const title = `A pool's gate, after an outage of ${duration(outage)}`;
  const about = `${count(clients)} clients of a server that can serve ${count(capacity)} a second: ${span(bound)} for all, at best.`;
  const drawing = new Drawing(title, about, theme);
  const key = { size: 13, weight: 600 };
  drawing.text('Through the gate', MARGIN, 75, theme.ours, key);
  drawing.text('Each for itself', MARGIN + 150, 75, theme.quiet, key);
  drawing.text('As fast as can be', MARGIN + 280, 75, theme.limit, key);

  for (const [column, { processes, gated, alone }] of runs.entries()) {
    const { panel: upper, left, right } = drawing.panel({ column, top: TOP, height: UPPER, xAxis, yAxis: dials });
    const { panel: lower } = drawing.panel({ column, top: LOWER_TOP, height: LOWER, xAxis, yAxis: back });
    const area = (color: string) => ({ step: 'end', areaStyle: { color, origin: 'start' } });
    const down = drawing.downtime(outage);
    const most = [
      [outage / 1_000, 0],
      [(outage + bound) / 1_000, 100],
    ] as const;
    drawing.line(
      upper,
      points(alone.dials, last),
      { color: theme.other, width: 1.5 },
      { ...area(theme.otherArea), ...down },
    );
    drawing.line(upper, points(gated.dials, last), { color: theme.ours }, area(theme.oursArea));
    drawing.line(lower, open(alone, clients, last), { color: theme.other }, down);
    drawing.line(lower, most, { color: theme.limit, width: 1.25, type: [4, 3] });
    drawing.line(lower, open(gated, clients, last), { color: theme.ours });

    const shares = `${count(processes)} processes × ${count(clients / processes)} connections`;
    const attempts = `${figure(gated.attempts)} each, ${figure(alone.attempts)} without`;
    const times = `all after ${allBack(gated)}, ${allBack(alone)} without`;
    drawing.text(shares, left, TOP - 33, theme.text, { size: 14, weight: 600 });
    drawing.text('Attempts a second', left, TOP - 15, theme.quiet);
    drawing.text(attempts, right, TOP - 15, theme.quiet, { align: 'right' });
    drawing.text('Clients back', left, LOWER_TOP - 15, theme.quiet);
    drawing.text(times, right, LOWER_TOP - 15, theme.quiet, { align: 'right' });
  }
  return drawing.svg(
    LOWER_TOP + LOWER + 40,
    runs.map(
      ({ processes, gated, alone }) =>
        `${count(processes)} processes: ${figure(gated.attempts)} attempts each and all back after ${allBack(gated)} through the gate, ` +
        `${figure(alone.attempts)} and ${allBack(alone)} each for itself`,
    ),
  );
}

function allBack({ t100 }: Outcome): string {
  return t100 === undefined ? 'never' : span(t100);
}

/** The percentage of clients that are back, every half second. */
function open(outcome: Outcome, clients: number, last: number): [number, number][] {
  const step = 500 / SPAN;
  return Array.from({ length: Math.floor((last * 1_000) / 500) + 1 }, (_, index) => {
    const at = index * step;
    const back = at === 0 ? 0 : (outcome.open[Math.min(at, outcome.open.length) - 1] ?? 0);
    return [(at * SPAN) / 1_000, (100 * back) / clients];
  });
}
