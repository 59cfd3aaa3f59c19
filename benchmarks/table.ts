import type { Column, Entry, Result } from './contest';
import { type Summary, isControl, ratios, summary, values } from './statistics';

/** A result as a table: the figures of the first entry, and how many times as large the others' are. */
export function table({ columns, entries, runs, busy }: Result): string {
  const shown = columns.filter(({ figure }) => entries.some((entry) => values(entry, figure).length > 0));
  const rows = entries
    .filter((entry) => entry.runs.length > 0 || entry.failure !== undefined)
    .map((entry) => [entry.name, ...shown.map((column) => cell(entry, entries, column))]);
  const heads = shown.map(({ title, isCompared = true }) => (isCompared ? `× ${title}` : title));
  const loaded = busy > 0 ? `\n${busy} of ${runs} runs were made while the machine had other work.\n` : '';
  return `${markdown(['', ...heads], rows)}\n${failures(entries)}${loaded}`;
}

/** A table in Markdown. The first `words` columns are text, the others numbers. */
export function markdown(head: readonly string[], rows: readonly (readonly string[])[], words = 1): string {
  const align = head.map((_, index) => (index < words ? '---' : '---:'));
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cell(entry: Entry, entries: readonly Entry[], { figure, isCompared = true }: Column): string {
  const base = entries[0]!;
  if (!isCompared) return withQuartiles(summary(values(entry, figure)), figureText);
  if (entry === base) {
    const found = summary(values(entry, figure));
    return found === undefined ? '–' : `1 = ${figureText(found.median)}`;
  }
  const found = ratios(entry, base, figure);
  if (!isControl(entry, entries) || found.length === 0) return withQuartiles(summary(found), ratioText);
  return withQuartiles({ ...summary(found)!, low: Math.min(...found), high: Math.max(...found) }, ratioText);
}

function withQuartiles(found: Summary | undefined, text: (value: number) => string): string {
  if (found === undefined) return '–';
  const [median, low, high] = [found.median, found.low, found.high].map(text);
  return low === high ? median! : `${median!} (${low!}–${high!})`;
}

/** Three significant digits, or all digits before the decimal point. Infinity is a time that was never reached. */
export function figureText(value: number): string {
  if (value === Infinity) return 'never';
  if (Number.isNaN(value)) return '–';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))));
  return new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value);
}

export function ratioText(value: number): string {
  if (value === Infinity) return '∞';
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function failures(entries: readonly Entry[]): string {
  const failed = entries.filter(({ failure }) => failure !== undefined);
  return failed.map(({ name, failure }) => `\n${name} failed: ${failure!.replaceAll('\n', ' ')}\n`).join('');
}
