import { type Chart, Drawing, MARGIN, TOP, dialsAxis, points, share } from './drawing';
import type { Policy } from './policy';
import type { Outcome } from './tally';
import type { Theme } from './theme';
import { count, duration, figure, span } from './words';

/** A policy, and the outcome of a fleet under it. */
export interface Run {
  readonly policy: Policy;
  readonly outcome: Outcome;
}

const HEIGHT = 104;
const ROW = HEIGHT + 78;

/** Attempts a second over time: one panel for each policy; the first policy is ours, and a line in the other panels. */
export function fleetChart({ runs, clients, capacity, outage }: Chart<Run>, theme: Theme): string {
  const ours = runs[0]!;
  const bound = (1_000 * clients) / capacity;
  const last = Math.ceil((outage + 3.5 * bound) / 20_000) * 20;
  const xAxis = { max: last, interval: last / 5 };
  const yAxis = dialsAxis(runs.map(({ outcome }) => outcome.dials));

  const title = `${count(clients)} clients after an outage of ${duration(outage)}`;
  const about = `Attempts a second, by how the clients wait. The server can serve ${count(capacity)} a second: ${span(bound)} for all, at best.`;
  const drawing = new Drawing(title, about, theme);
  const key = `Blue, in every panel: ${ours.policy.name}. Shaded: the server is down. Time counts from its loss.`;
  drawing.text(key, MARGIN, 75, theme.quiet, { size: 13 });

  for (const [index, { policy, outcome }] of runs.entries()) {
    const isOurs = index === 0;
    const top = TOP + Math.floor(index / 2) * ROW;
    const { panel, left, right } = drawing.panel({ column: index % 2, top, height: HEIGHT, xAxis, yAxis });
    const style = isOurs ? { color: theme.ours } : { color: theme.other, width: 1.5 };
    drawing.line(panel, points(outcome.dials, last), style, {
      step: 'end',
      areaStyle: { color: isOurs ? theme.oursArea : theme.otherArea, origin: 'start' },
      ...drawing.downtime(outage),
      markLine: {
        silent: true,
        symbol: 'none',
        label: { show: false },
        lineStyle: { color: theme.limit, width: 1, type: [4, 3] },
        data: [{ yAxis: capacity }],
      },
    });
    drawing.text(policy.name, left, top - 33, isOurs ? theme.ours : theme.text, { size: 14, weight: 600 });
    drawing.text(summary(outcome), left, top - 15, theme.quiet);
    if (isOurs) {
      const y = top + HEIGHT * (1 - share(capacity, yAxis.max)) - 8;
      drawing.text('server down', left + 6, top + 11, theme.quiet, { size: 11 });
      drawing.text('what it can serve', right, y, theme.limit, { size: 11, align: 'right' });
    } else {
      drawing.line(panel, points(ours.outcome.dials, last), { color: theme.ours, width: 1.25 }, { step: 'end' });
    }
  }
  const height = TOP + Math.ceil(runs.length / 2) * ROW - 40;
  return drawing.svg(
    height,
    runs.map(({ policy, outcome }) => `${policy.name}: ${summary(outcome)}`),
  );
}

function summary({ t100, attempts }: Outcome): string {
  const back = t100 === undefined ? 'not all come back' : `all back after ${span(t100)}`;
  return `${back} · ${figure(attempts)} attempts each`;
}
