import { load } from '../project';
import { FONT, type Theme } from './theme';

/** What is used of ECharts. It has types of its own, but it is installed for the benchmarks alone. */
interface Echarts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

/** Places for text that every chart has. */
export const WIDTH = 800;
export const MARGIN = 24;

/** Where the panels begin, below the heading. */
export const TOP = 146;

/** What a chart is about: fleets of so many clients, and the outage that all of them go through. */
export interface Chart<Run> {
  readonly runs: readonly Run[];
  readonly clients: number;
  /** Clients that the server can serve in a second. */
  readonly capacity: number;
  /** In milliseconds. */
  readonly outage: number;
}

/** What is drawn, panel by panel. */
export interface Drawing {
  readonly grid: object[];
  readonly xAxis: object[];
  readonly yAxis: object[];
  readonly series: object[];
  readonly graphic: object[];
}

/** A drawing with a heading only: a title, a line about it, and a key. */
export function headed(title: string, about: string, theme: Theme, ...key: object[]): Drawing {
  const heading = [
    text(title, MARGIN, 30, theme.text, { size: 20, weight: 600 }),
    text(about, MARGIN, 55, theme.quiet, { size: 13 }),
    ...key,
  ];
  return { grid: [], xAxis: [], yAxis: [], series: [], graphic: heading };
}

/** The time without a server. */
export function downtime(outage: number, theme: Theme): object {
  return { silent: true, itemStyle: { color: theme.shade }, data: [[{ xAxis: 0 }, { xAxis: outage / 1_000 }]] };
}

/** Draws what the option describes. `about` is what is said in place of the picture to those who cannot see it. */
export function draw(option: object, height: number, theme: Theme, about: string): string {
  // `as`: whatever a package exports.
  const chart = (load('echarts') as Echarts).init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: theme.background,
    textStyle: { fontFamily: FONT },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  const label = about.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  return `${svg.replace('<svg ', `<svg role="img" aria-label="${label}" `)}\n`;
}

/** A line of text. `x` is its left end, or its right end where it is aligned to that. */
export function text(
  words: string,
  x: number,
  y: number,
  fill: string,
  { size = 12, weight = 400, align = 'left' }: { size?: number; weight?: number; align?: 'left' | 'right' } = {},
): object {
  return {
    type: 'text',
    x,
    y,
    silent: true,
    style: { text: words, fill, font: `${weight} ${size}px ${FONT}`, align, verticalAlign: 'middle' },
  };
}

/** Axes of one panel: seconds, and a logarithm or a share. */
export function axes(index: number, theme: Theme, x: object, y: object): { xAxis: object; yAxis: object } {
  const axisLabel = { color: theme.quiet, fontSize: 11, fontFamily: FONT };
  return {
    xAxis: {
      type: 'value',
      gridIndex: index,
      axisLine: { show: true, onZero: false, lineStyle: { color: theme.quiet } },
      axisTick: { show: true, length: 4, lineStyle: { color: theme.quiet } },
      splitLine: { show: false },
      ...x,
      axisLabel: { ...axisLabel, showMaxLabel: true, ...('axisLabel' in x ? (x.axisLabel as object) : {}) },
    },
    yAxis: {
      gridIndex: index,
      axisLine: { show: false },
      axisTick: { show: false },
      minorSplitLine: { show: false },
      splitLine: { lineStyle: { color: theme.grid } },
      ...y,
      axisLabel: { ...axisLabel, ...('axisLabel' in y ? (y.axisLabel as object) : {}) },
    },
  };
}
