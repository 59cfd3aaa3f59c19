import { type Chart, MARGIN, TOP, WIDTH, axes, downtime, draw, headed, text } from './drawing';
import type { Policy } from './policies';
import { type Outcome, SPAN } from './tally';
import type { Theme } from './theme';
import { count, figure, outage as lasting, span } from './words';

/** A policy and what became of the fleet under it. */
export interface Run {
  readonly policy: Policy;
  readonly outcome: Outcome;
}

const PANEL = { height: 104, gapX: 44, gapY: 78, label: 44 } as const;
/** The foot of the logarithmic axes. */
export const LEAST = 100;

/** One panel for each policy, ours first and as a line in all others: attempts a second, by time. */
export function fleetChart({ runs, clients, capacity, outage }: Chart<Run>, theme: Theme): string {
  const [ours] = runs;
  const bound = (1_000 * clients) / capacity;
  const last = Math.ceil((outage + 3.5 * bound) / 20_000) * 20;
  const top =
    10 ** Math.ceil(Math.log10(Math.max(...runs.map(({ outcome }) => Math.max(...perSecond(outcome.dials))))));
  const rows = Math.ceil(runs.length / 2);
  const height = TOP + rows * (PANEL.height + PANEL.gapY) - 40;
  const width = (WIDTH - 2 * MARGIN - PANEL.gapX) / 2;

  const title = `${count(clients)} clients after an outage of ${lasting(outage)}`;
  const about = `Attempts a second, by how the clients wait. The server can serve ${count(capacity)} a second: ${span(bound)} for all, at best.`;
  const key = `Blue, in every panel: ${ours!.policy.name}. Shaded: the server is down. Time counts from its loss.`;
  const drawing = headed(title, about, theme, text(key, MARGIN, 75, theme.quiet, { size: 13 }));

  for (const [index, { policy, outcome }] of runs.entries()) {
    const isOurs = index === 0;
    const left = MARGIN + (index % 2) * (width + PANEL.gapX);
    const y = TOP + Math.floor(index / 2) * (PANEL.height + PANEL.gapY);
    drawing.grid.push({ left: left + PANEL.label, top: y, width: width - PANEL.label, height: PANEL.height });
    const { xAxis, yAxis } = axes(
      index,
      theme,
      { min: 0, max: last, interval: last / 5, axisLabel: { formatter: '{value} s' } },
      { type: 'log', min: LEAST, max: top, axisLabel: { formatter: short } },
    );
    drawing.xAxis.push(xAxis);
    drawing.yAxis.push(yAxis);

    const color = isOurs ? theme.ours : theme.other;
    drawing.series.push({
      type: 'line',
      xAxisIndex: index,
      yAxisIndex: index,
      data: points(outcome.dials, last),
      step: 'end',
      symbol: 'none',
      lineStyle: { color, width: isOurs ? 2 : 1.5 },
      areaStyle: { color: isOurs ? theme.oursArea : theme.otherArea, origin: 'start' },
      markArea: downtime(outage, theme),
      markLine: {
        silent: true,
        symbol: 'none',
        label: { show: false },
        lineStyle: { color: theme.limit, width: 1, type: [4, 3] },
        data: [{ yAxis: capacity }],
      },
    });
    if (!isOurs) {
      drawing.series.push({
        type: 'line',
        xAxisIndex: index,
        yAxisIndex: index,
        data: points(ours!.outcome.dials, last),
        step: 'end',
        symbol: 'none',
        lineStyle: { color: theme.ours, width: 1.25 },
      });
    }
    drawing.graphic.push(
      text(policy.name, left + PANEL.label, y - 33, isOurs ? theme.ours : theme.text, { size: 14, weight: 600 }),
      text(summary(outcome), left + PANEL.label, y - 15, theme.quiet),
    );
    if (isOurs) {
      drawing.graphic.push(
        text('server down', left + PANEL.label + 6, y + 11, theme.quiet, { size: 11 }),
        text('what it can serve', left + width, y + PANEL.height * (1 - height01(capacity, top)) - 8, theme.limit, {
          size: 11,
          align: 'right',
        }),
      );
    }
  }
  const words = runs.map(({ policy, outcome }) => `${policy.name}: ${summary(outcome)}`);
  return draw(drawing, height, theme, `${title}. ${about} ${words.join('; ')}.`);
}

/** Where a value is on the logarithmic axis: 0 at its foot, 1 at its head. */
function height01(value: number, top: number): number {
  return Math.log10(value / LEAST) / Math.log10(top / LEAST);
}

function summary({ t100, attempts }: Outcome): string {
  const back = t100 === undefined ? 'not all come back' : `all back after ${span(t100)}`;
  return `${back} · ${figure(attempts)} attempts each`;
}

/** Spans added up to seconds. */
export function perSecond(counts: Uint32Array): number[] {
  const width = 1_000 / SPAN;
  return Array.from({ length: Math.ceil(counts.length / width) }, (_, second) =>
    counts.subarray(second * width, (second + 1) * width).reduce((sum, value) => sum + value, 0),
  );
}

/** Points of a line: what is below the axis lies on it, so that the area has a foot. It ends with the last dial. */
export function points(dials: Uint32Array, last: number): [number, number][] {
  const seconds = perSecond(dials);
  const length = Math.min(seconds.findLastIndex((count) => count > 0) + 2, last + 1);
  return Array.from({ length }, (_, second) => [second, Math.max(seconds[second] ?? 0, LEAST)]);
}

/** 1000 as 1 k. */
export function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e3 ? `${value / 1e3} k` : String(value);
}
