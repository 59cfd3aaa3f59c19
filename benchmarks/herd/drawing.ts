import { load } from '../project';
import { SPAN } from './tally';
import { FONT, type Theme } from './theme';

/** The part of ECharts that is used here. Its types are installed for the benchmarks only. */
interface Echarts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

export const WIDTH = 800;
export const MARGIN = 24;

/** Where the panels begin, below the heading. */
export const TOP = 146;

/** Panels stand in two columns, with labels to their left. */
const GAP = 44;
const LABEL = 44;
const PANEL = (WIDTH - 2 * MARGIN - GAP) / 2;

/** The foot of the logarithmic axes. */
const LEAST = 100;

/** The subject of a chart: fleets of so many clients, and one outage. */
export interface Chart<Run> {
  readonly runs: readonly Run[];
  readonly clients: number;
  /** Clients that the server can serve in a second. */
  readonly capacity: number;
  /** In milliseconds. */
  readonly outage: number;
}

interface Panel {
  readonly column: number;
  readonly top: number;
  readonly height: number;
  readonly xAxis: { readonly max: number; readonly interval: number };
  readonly yAxis: object;
}

type Points = readonly (readonly [number, number])[];

/** A chart of panels below a heading. */
export class Drawing {
  readonly #theme: Theme;
  readonly #heading: string;
  readonly #grid: object[] = [];
  readonly #xAxis: object[] = [];
  readonly #yAxis: object[] = [];
  readonly #series: object[] = [];
  readonly #graphic: object[] = [];

  constructor(title: string, about: string, theme: Theme) {
    this.#theme = theme;
    this.#heading = `${title}. ${about}`;
    this.text(title, MARGIN, 30, theme.text, { size: 20, weight: 600 });
    this.text(about, MARGIN, 55, theme.quiet, { size: 13 });
  }

  /** A line of text. `x` is its left end, or its right end where it is aligned to that. */
  text(
    text: string,
    x: number,
    y: number,
    fill: string,
    { size = 12, weight = 400, align = 'left' }: { size?: number; weight?: number; align?: 'left' | 'right' } = {},
  ): void {
    const font = `${weight} ${size}px ${FONT}`;
    this.#graphic.push({
      type: 'text',
      x,
      y,
      silent: true,
      style: { text, fill, font, align, verticalAlign: 'middle' },
    });
  }

  /** Adds a panel whose horizontal axis is time in seconds. Returns the number of the panel, and its left and right end. */
  panel({ column, top, height, xAxis, yAxis }: Panel): { readonly panel: number; left: number; right: number } {
    const gridIndex = this.#grid.length;
    const right = MARGIN + column * (PANEL + GAP) + PANEL;
    const left = right - PANEL + LABEL;
    const axisLabel = { color: this.#theme.quiet, fontSize: 11, fontFamily: FONT };
    const lineStyle = { color: this.#theme.quiet };
    this.#grid.push({ left, top, width: PANEL - LABEL, height });
    this.#xAxis.push({
      type: 'value',
      gridIndex,
      axisLine: { show: true, onZero: false, lineStyle },
      axisTick: { show: true, length: 4, lineStyle },
      splitLine: { show: false },
      min: 0,
      ...xAxis,
      axisLabel: { ...axisLabel, showMaxLabel: true, formatter: '{value} s' },
    });
    this.#yAxis.push({
      gridIndex,
      axisLine: { show: false },
      axisTick: { show: false },
      minorSplitLine: { show: false },
      splitLine: { lineStyle: { color: this.#theme.grid } },
      ...yAxis,
      axisLabel: { ...axisLabel, ...('axisLabel' in yAxis ? (yAxis.axisLabel as object) : {}) },
    });
    return { panel: gridIndex, left, right };
  }

  /** Adds a line to a panel. */
  line(panel: number, data: Points, line: { color: string; width?: number; type?: number[] }, more: object = {}): void {
    const lineStyle = { width: 2, ...line };
    const indexes = { xAxisIndex: panel, yAxisIndex: panel };
    this.#series.push({ type: 'line', ...indexes, data, symbol: 'none', lineStyle, ...more });
  }

  /** The option of a line that shades the time without a server. */
  downtime(outage: number): object {
    const itemStyle = { color: this.#theme.shade };
    return { markArea: { silent: true, itemStyle, data: [[{ xAxis: 0 }, { xAxis: outage / 1_000 }]] } };
  }

  /** The chart as SVG. `runs` describe it for readers who cannot see it. */
  svg(height: number, runs: readonly string[]): string {
    // `as`: the package is loaded without its types.
    const chart = (load('echarts') as Echarts).init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
    chart.setOption({
      animation: false,
      backgroundColor: this.#theme.background,
      textStyle: { fontFamily: FONT },
      grid: this.#grid,
      xAxis: this.#xAxis,
      yAxis: this.#yAxis,
      series: this.#series,
      graphic: this.#graphic,
    });
    const svg = chart.renderToSVGString();
    chart.dispose();
    const about = `${this.#heading} ${runs.join('; ')}.`;
    const label = about.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
    return `${svg.replace('<svg ', `<svg role="img" aria-label="${label}" `)}\n`;
  }
}

/** A logarithmic axis for dials a second, up to the next power of ten. */
export function dialsAxis(all: readonly Uint32Array[]) {
  const busiest = Math.max(...all.flatMap(perSecond));
  return { type: 'log', min: LEAST, max: 10 ** Math.ceil(Math.log10(busiest)), axisLabel: { formatter: short } };
}

/** The place of a value on that axis: 0 at its foot, 1 at its head. */
export function share(value: number, max: number): number {
  return Math.log10(value / LEAST) / Math.log10(max / LEAST);
}

/** Dials a second, until the last dial. Smaller values than the foot of the axis lie on it, so that an area has a foot. */
export function points(dials: Uint32Array, last: number): [number, number][] {
  const seconds = perSecond(dials);
  const length = Math.min(seconds.findLastIndex((count) => count > 0) + 2, last + 1);
  return Array.from({ length }, (_, second) => [second, Math.max(seconds[second] ?? 0, LEAST)]);
}

function perSecond(counts: Uint32Array): number[] {
  const width = 1_000 / SPAN;
  return Array.from({ length: Math.ceil(counts.length / width) }, (_, second) =>
    counts.subarray(second * width, (second + 1) * width).reduce((sum, value) => sum + value, 0),
  );
}

/** 1000 as 1 k. */
function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e3 ? `${value / 1e3} k` : String(value);
}
