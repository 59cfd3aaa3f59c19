import type { CrowdOutcome } from './crowd';
import { type Chart, MARGIN, TOP, WIDTH, axes, downtime, draw, headed, text } from './drawing';
import { LEAST, perSecond, points, short } from './fleet-chart';
import { type Outcome, SPAN } from './tally';
import type { Theme } from './theme';
import { count, figure, outage as lasting, span } from './words';

/** Processes with pools, through the gate and without it. */
export interface CrowdRun {
  readonly processes: number;
  readonly gated: CrowdOutcome;
  /** The same clients, each for itself. */
  readonly alone: Outcome;
}

const right = { align: 'right' } as const;
const PANEL = { heights: [150, 130], gapX: 44, gapY: 56, label: 44 } as const;

/** For each way to share out the clients, attempts a second, and below them the share of clients that are back. */
export function crowdChart({ runs, clients, capacity, outage }: Chart<CrowdRun>, theme: Theme): string {
  const bound = (1_000 * clients) / capacity;
  const last = Math.ceil((outage + 2.2 * bound) / 20_000) * 20;
  const busiest = runs.flatMap(({ gated, alone }) => [...perSecond(gated.dials), ...perSecond(alone.dials)]);
  const top = 10 ** Math.ceil(Math.log10(Math.max(...busiest)));
  const width = (WIDTH - 2 * MARGIN - PANEL.gapX) / 2;
  const height = TOP + PANEL.heights[0] + PANEL.gapY + PANEL.heights[1] + 40;

  const title = `A pool's gate, after an outage of ${lasting(outage)}`;
  const about = `${count(clients)} clients of a server that can serve ${count(capacity)} a second: ${span(bound)} for all, at best.`;
  const drawing = headed(
    title,
    about,
    theme,
    text('Through the gate', MARGIN, 75, theme.ours, { size: 13, weight: 600 }),
    text('Each for itself', MARGIN + 150, 75, theme.quiet, { size: 13, weight: 600 }),
    text('As fast as can be', MARGIN + 280, 75, theme.limit, { size: 13, weight: 600 }),
  );

  for (const [column, { processes, gated, alone }] of runs.entries()) {
    const left = MARGIN + column * (width + PANEL.gapX);
    const [upper, lower] = [2 * column, 2 * column + 1];
    const lowerTop = TOP + PANEL.heights[0] + PANEL.gapY;
    const box = { left: left + PANEL.label, width: width - PANEL.label };
    drawing.grid.push({ ...box, top: TOP, height: PANEL.heights[0] });
    drawing.grid.push({ ...box, top: lowerTop, height: PANEL.heights[1] });
    const time = { min: 0, max: last, interval: last / 4, axisLabel: { formatter: '{value} s' } };
    const dials = axes(upper, theme, time, { type: 'log', min: LEAST, max: top, axisLabel: { formatter: short } });
    const back = axes(lower, theme, time, {
      type: 'value',
      min: 0,
      max: 100,
      interval: 50,
      axisLabel: { formatter: '{value} %' },
    });
    drawing.xAxis.push(dials.xAxis, back.xAxis);
    drawing.yAxis.push(dials.yAxis, back.yAxis);

    const down = downtime(outage, theme);
    const line = (index: number, data: [number, number][], color: string, line: object, area?: string) => ({
      type: 'line',
      xAxisIndex: index,
      yAxisIndex: index,
      data,
      step: index === upper ? 'end' : false,
      symbol: 'none',
      lineStyle: { color, width: 2, ...line },
      ...(area !== undefined && { areaStyle: { color: area, origin: 'start' } }),
    });
    drawing.series.push(
      { ...line(upper, points(alone.dials, last), theme.other, { width: 1.5 }, theme.otherArea), markArea: down },
      line(upper, points(gated.dials, last), theme.ours, {}, theme.oursArea),
      { ...line(lower, open(alone, clients, last), theme.other, {}), markArea: down },
      line(
        lower,
        [
          [outage / 1_000, 0],
          [(outage + bound) / 1_000, 100],
        ],
        theme.limit,
        { width: 1.25, type: [4, 3] },
      ),
      line(lower, open(gated, clients, last), theme.ours, {}),
    );
    const share = `${count(processes)} processes × ${count(clients / processes)} connections`;
    drawing.graphic.push(
      text(share, left + PANEL.label, TOP - 33, theme.text, { size: 14, weight: 600 }),
      text('Attempts a second', left + PANEL.label, TOP - 15, theme.quiet),
      text(
        `${figure(gated.attempts)} each, ${figure(alone.attempts)} without`,
        left + width,
        TOP - 15,
        theme.quiet,
        right,
      ),
      text('Clients back', left + PANEL.label, lowerTop - 15, theme.quiet),
      text(`all after ${whole(gated)}, ${whole(alone)} without`, left + width, lowerTop - 15, theme.quiet, right),
    );
  }
  const words = runs.map(
    ({ processes, gated, alone }) =>
      `${count(processes)} processes: ${figure(gated.attempts)} attempts each and all back after ${whole(gated)} through the gate, ` +
      `${figure(alone.attempts)} and ${whole(alone)} each for itself`,
  );
  return draw(drawing, height, theme, `${title}. ${about} ${words.join('; ')}.`);
}

function whole({ t100 }: Outcome): string {
  return t100 === undefined ? 'never' : span(t100);
}

/** The share of clients that are back, in hundredths, by half seconds. */
function open(outcome: Outcome, clients: number, last: number): [number, number][] {
  const step = 500 / SPAN;
  const curve: [number, number][] = [];
  for (let at = 0; at * SPAN <= last * 1_000; at += step) {
    const back = at === 0 ? 0 : (outcome.open[Math.min(at, outcome.open.length) - 1] ?? 0);
    curve.push([(at * SPAN) / 1_000, (100 * back) / clients]);
  }
  return curve;
}
