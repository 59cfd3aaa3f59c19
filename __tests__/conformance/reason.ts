import { AssertionError } from 'node:assert';
import { inspect } from 'node:util';

/** Why a case failed, in one line that is the same wherever and whenever it is told. */
export function reason(error: unknown): string {
  if (typeof error === 'string') return inOneLine(crash(error));
  if (!(error instanceof Error)) return inOneLine(`thrown: ${String(error)}`);
  if (error instanceof AssertionError) return inOneLine(assertion(error));
  // One may be thrown with nothing to say, or with a cause in place of a message.
  return inOneLine(`${error.name}: ${error.message || 'no message'}`);
}

/** A word on a process, and of what it printed at its end the line that names the error. */
function crash(text: string): string {
  const named = /^\w*Error\b.*$/m.exec(text);
  return named === null ? text : `${text.slice(0, text.indexOf(':'))}: ${named[0]}`;
}

/** What an assertion of `node:assert` holds against what it found: its own words are a diff of many lines. */
function assertion({ message, generatedMessage, operator, actual, expected }: AssertionError): string {
  // What it adds to a message of one's own is a diff as well.
  const said = generatedMessage ? '' : message.split('\n')[0]!;
  switch (operator) {
    case 'strictEqual':
    case 'deepStrictEqual':
      return `${said && `${said}: `}${show(actual)} in place of ${show(expected)}`;
    case '==':
      // The expression itself is in the lines that follow.
      return said || `does not hold: ${message.split('\n').slice(1).join(' ').trim()}`;
    default:
      return said || message;
  }
}

/** A value in one line. Of what came again and again one is named. */
function show(value: unknown): string {
  if (!Array.isArray(value)) return inspect(value, { depth: 1, breakLength: Infinity, compact: true });
  const items = value.map((item) => (typeof item === 'string' ? item : inspect(item, { depth: 0 })));
  return `[${items.join(', ')}]`.replaceAll('\n', ' ');
}

const LONGEST = 160;

/** The first line, without what differs from machine to machine and from run to run. */
function inOneLine(text: string): string {
  const [first = ''] = text.trim().split('\n');
  const line = first
    // What was heard up to then.
    .replace(/ \(heard: .*\)$/, '')
    .replace(/(?:file:\/\/)?\/(?:[\w.@+-]+\/)+[\w.@+-]+(?::\d+)*/g, 'a file')
    .replace(/((?:\d+\.){3}\d+|\[[\da-f:]+\]|::1|localhost):\d{4,5}\b/g, '$1:port')
    .replace(/\b(port|pid) \d+/g, '$1')
    // Bounds are round numbers; what is not was measured.
    .replace(/\d+(?:, \d+){2,}/g, (list) =>
      list.split(', ').every((digits) => Number(digits) % 50 === 0) ? list : '…',
    )
    .replace(/(?<![\w.:-])\d{2,}(?![\w:-]|\.\d)/g, (digits) => (Number(digits) % 50 === 0 ? digits : '…'))
    .replace(/(?<![\w.:-])\d+\.\d+(?![\w:-]|\.\d)/g, '…')
    .replace(/([^\s,[]+)(?:, ?\1){3,}/g, '$1 × many');
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST).trimEnd()}…`;
}
