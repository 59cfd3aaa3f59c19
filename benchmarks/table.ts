import type { Column, Entry, Result } from './contest';
import { type Summary, ratios, summary, values } from './statistics';

/** A result as a table: for every figure the median, the quartiles, and the ratio to the first entry's. */
export function table({ contest, entries }: Result): string {
  const [base] = entries;
  const columns = contest.columns.filter(({ figure }) => entries.some((entry) => values(entry, figure).length > 0));
  const heads = columns.flatMap((column) => (isCompared(column) ? [column.title, '×'] : [column.title]));
  const rows = entries
    .filter(({ runs, failure }) => runs.length > 0 || failure !== undefined)
    .map((entry) => [entry.name, ...columns.flatMap((column) => cells(entry, base!, column))]);
  return `${markdown(['', ...heads], rows)}\n${notes(entries)}`;
}

/** A table in Markdown. The first `words` columns are text, the others numbers. */
export function markdown(head: readonly string[], rows: readonly (readonly string[])[], words = 1): string {
  const align = head.map((_, index) => (index < words ? '---' : '---:'));
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cells(entry: Entry, base: Entry, column: Column): string[] {
  const own = withQuartiles(summary(values(entry, column.figure)), figureText);
  if (!isCompared(column)) return [own];
  return [own, withQuartiles(summary(ratios(entry, base, column.figure)), ratioText)];
}

function isCompared({ isCompared = true }: Column): boolean {
  return isCompared;
}

function withQuartiles(found: Summary | undefined, text: (value: number) => string): string {
  if (found === undefined) return '–';
  const [median, low, high] = [found.median, found.low, found.high].map(text);
  return low === high ? median! : `${median!} (${low!}–${high!})`;
}

/** Three significant digits, or all digits before the decimal point. Infinity is a time that was never reached. */
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
