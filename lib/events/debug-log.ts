import { debuglog } from 'node:util';

import { describe, isError } from '../errors';
import { failureOf } from './failure-text';

/** A connection, to tell those of one target apart. */
interface Source {
  readonly tag: string;
}

type Debug = (source: Source | undefined, text: string) => void;

/**
 * Reports on stderr what connections do, in the form of `util.debuglog`; undefined unless the environment variable
 * `NODE_DEBUG` has `reconnecting-connection` in it when this library is loaded. Never passed options or bytes of writes.
 */
export const debug: Debug | undefined = startDebugging();

function startDebugging(): Debug | undefined {
  // `as`: not every runtime that imitates Node has it.
  const log = (debuglog as typeof debuglog | undefined)?.('reconnecting-connection');
  if (log?.enabled !== true) return undefined;
  const numbers = new WeakMap<Source, number>();
  let count = 0;
  return (source, text) => {
    if (source === undefined) return log('%s', text);
    const number = numbers.get(source) ?? ++count;
    numbers.set(source, number);
    log('%s', `#${number} ${source.tag}: ${text}`);
  };
}

/** Fields of payloads that are shown. Those of `open` are getters of its prototype. */
const FIELDS =
  'generation attempt attempts delay downtime uptime willRetry bytes reason localAddress localPort remoteAddress remotePort';

/** An event as text, with the figures and the error of its payload and without its bytes. */
export function eventText(event: PropertyKey, [payload, previous]: readonly unknown[]): string {
  if (event === 'state') return `${String(previous)} -> ${String(payload)}`;
  const name = typeof event === 'symbol' ? 'markHealthy()' : String(event);
  if (typeof payload !== 'object' || payload === null) return name;
  const shown = FIELDS.split(' ').flatMap((field): string[] => {
    // `as`: each of these is a number, a text or a boolean.
    const value = Reflect.get(payload, field) as string | number | boolean | undefined;
    return value === undefined ? [] : [`${field}: ${String(value)}`];
  });
  const { error, fault, uncertain } = payload as { error?: unknown; fault?: unknown; uncertain?: { writes: number } };
  if (uncertain !== undefined && uncertain.writes > 0) shown.push(`uncertain writes: ${uncertain.writes}`);
  const failures = [error, fault].filter((each) => each !== undefined).map((each) => `; ${failureText(each)}`);
  return `${name} (${shown.join(', ')})${failures.join('')}`;
}

/** An error as text: its message and those of its causes, their codes, and a hint. */
export function failureText(error: unknown): string {
  if (!isError(error)) return describe(error);
  const { message, codes, hint } = failureOf(error);
  return `${message}${codes.length > 0 ? ` [${codes.join(', ')}]` : ''}${hint === undefined ? '' : ` (${hint})`}`;
}
