import type { Adapter } from './adapter';
import type { Case } from './lab';

/** What the table says of one case and one library. */
export type Mark = 'pass' | 'fail' | 'n/a';

/** What became of a library. */
export interface Column {
  readonly adapter: Adapter;
  readonly marks: ReadonlyMap<Case['id'], Mark>;
  /** Why cases failed, in a line each. */
  readonly faults: ReadonlyMap<Case['id'], string>;
}

const SIGNS = { pass: '✓', fail: '✗', 'n/a': '–' } as const;

/** The sections, each with its last case. */
const SECTIONS = [
  { name: 'A: A connection is made', last: 18 },
  { name: 'B: Waits between attempts', last: 38 },
  { name: 'C: A session is lost and made anew', last: 50 },
  { name: 'D: The end, in every state', last: 66 },
  { name: 'E: Silent peers', last: 77 },
  { name: 'F: Writes while there is no session', last: 88 },
  { name: 'G: Pools', last: 96 },
  { name: 'H: TLS', last: 102 },
  { name: 'I: Listeners, leaks and the end of the process', last: 104 },
  { name: 'J: From the field', last: 145 },
] as const;

/** The number of a case. */
export function number({ id }: Case): number {
  return Number(id.slice(1));
}

/** The whole of docs/conformance.md. It holds nothing that differs when it is made again from the same results. */
export function page(cases: readonly Case[], columns: readonly Column[]): string {
  const sections = SECTIONS.map(({ name, last }, index) => {
    const first = (SECTIONS[index - 1]?.last ?? 0) + 1;
    return { name, cases: cases.filter((one) => number(one) >= first && number(one) <= last) };
  }).filter((section) => section.cases.length > 0);

  return [
    introduction(cases, columns),
    `## Totals\n\n${totals(columns)}`,
    ...sections.map((section) => `## ${section.name}\n\n${marks(section.cases, columns)}`),
    `## Why they fail\n\nOne line for each case that does not hold, as the experiment puts it.\n\n${faults(cases, columns)}`,
  ].join('\n');
}

function introduction(cases: readonly Case[], columns: readonly Column[]): string {
  return `# Conformance

What must a connection survive that comes back by itself? ${cases.length} answers, each a sentence and an experiment on real
sockets, put to ${columns.length} libraries. This page is made by

\`\`\`sh
npm run conformance -- --write docs/conformance.md
\`\`\`

and was last made with Node.js ${process.version} on ${process.platform} (${process.arch}). Every case runs in a process of its own.

- ✓ the sentence holds.
- ✗ it does not; [why they fail](#why-they-fail) says what was seen in its place.
- – the library was not asked: it has no option, event or method of that kind.

How libraries are treated:

- The cases come from the suites of many systems and from faults seen in the field, but we chose them, and they ask what this
  library was made for. A column says how a library answers these questions, not how good it is at its own work.
- A library is reached through an adapter of a few dozen lines in \`__tests__/conformance/adapters\`. It passes on every option that
  the library documents, and turns the library's events into the five that all are asked for. It mends nothing.
- \`net.Socket in a loop\` is no library, but the few lines that many write in place of one.
- Where a library can be told to retry for ever, to retry the first connection too, and how long to wait, it is told so. Where its
  waits cannot be told, the cases wait for it.
- Clients of a protocol (Redis, NATS, MQTT) meet a server that speaks as much of it as makes them call themselves connected. They
  have no bytes of their own to send, so they are not asked about writes.
- A case that a peer fails is tried again, and counts as failed only if it fails then too. This library gets one try.
- No adapter counts that fails the simplest case.
`;
}

function totals(columns: readonly Column[]): string {
  const rows = columns.map((column) => {
    const count = (mark: Mark) => [...column.marks.values()].filter((each) => each === mark).length;
    return [title(column), `${count('pass') + count('fail')}`, `${count('pass')}`, `${count('fail')}`];
  });
  return table(['library', 'asked', '✓', '✗'], [':--', '--:', '--:', '--:'], rows);
}

function marks(cases: readonly Case[], columns: readonly Column[]): string {
  const rows = cases.map((one) => [
    `**${one.id}** ${cell(one.title)}`,
    // A library that was examined has a mark for every case.
    ...columns.map((column) => SIGNS[column.marks.get(one.id)!]),
  ]);
  return table(['', ...columns.map(title)], [':--', ...columns.map(() => ':-:')], rows);
}

function faults(cases: readonly Case[], columns: readonly Column[]): string {
  const failing = columns.filter((column) => column.faults.size > 0);
  if (failing.length === 0) return 'Nothing failed.\n';
  return failing
    .map((column) => {
      const failed = cases.filter(({ id }) => column.faults.has(id));
      return `### ${title(column)}\n\n${failed.map(({ id }) => `- ${id}: ${code(column.faults.get(id)!)}\n`).join('')}`;
    })
    .join('\n');
}

function title({ adapter }: Column): string {
  return `${adapter.name} ${adapter.version}`.trim();
}

function table(head: readonly string[], align: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, align, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

/** Text that does not end a cell, and of which nothing is taken for markup. */
function cell(text: string): string {
  return text.replace(/[|\\<_*`]/g, '\\$&');
}

/** Text as code, whatever it holds. */
function code(text: string): string {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``;
}
