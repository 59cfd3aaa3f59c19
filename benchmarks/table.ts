import type { Column, Entry, Result } from './contest';
import { type Summary, ratios, summary, values } from './statistics';

/** A result as a table of Markdown: for every figure its median and quarters, and as a multiple of the first entry's. */
export function table({ contest, entries }: Result): string {
  const [base] = entries;
  const columns = contest.columns.filter(({ figure }) => entries.some((entry) => values(entry, figure).length > 0));
  const heads = columns.flatMap((column) => (isCompared(column) ? [column.title, '×'] : [column.title]));
  const rows = entries
    .filter(({ runs, failure }) => runs.length > 0 || failure !== undefined)
    .map((entry) => [entry.name, ...columns.flatMap((column) => cells(entry, base!, column))]);
  return markdown(['', ...heads], rows) + notes(entries);
}

export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const align = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function cells(entry: Entry, base: Entry, column: Column): string[] {
  const own = withQuarters(summary(values(entry, column.figure)), figureText);
  if (!isCompared(column)) return [own];
  return [own, withQuarters(summary(ratios(entry, base, column.figure)), ratioText)];
}

function isCompared({ isCompared = true }: Column): boolean {
  return isCompared;
}

function withQuarters(found: Summary | undefined, text: (value: number) => string): string {
  if (found === undefined) return '–';
  const [median, low, high] = [found.median, found.low, found.high].map(text);
  return low === high ? median! : `${median!} (${low!}–${high!})`;
}

/** Three digits that say something, or all there are before the point; what never came to pass is infinite. */
export function figureText(value: number): string {
  if (value === Infinity) return 'never';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))));
  return new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value);
}

export function ratioText(value: number): string {
  if (value === Infinity) return '∞';
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function notes(entries: readonly Entry[]): string {
  const failed = entries.filter(({ failure }) => failure !== undefined);
  return failed.map(({ name, failure }) => `\n${name} failed: ${failure!.replaceAll('\n', ' ')}\n`).join('');
}
