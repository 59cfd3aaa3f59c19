import { inspect } from 'node:util';

/** One event as it was heard. */
export interface Heard<Event extends string = string, Args extends readonly unknown[] = readonly unknown[]> {
  /** Its name. */
  readonly event: Event;
  /** What its listeners were given. */
  readonly args: Args;
  /** Milliseconds since the recorder began, by the real clock. */
  readonly at: number;
}

/** Characters of a chunk that are shown. */
const SHOWN = 40;

/** Events as lines of text: when, what, with what. */
export function timeline(heard: readonly Heard[]): string {
  return heard.map(({ event, args, at }) => `${at.toFixed(0).padStart(6)} ms  ${line(event, args)}`).join('\n');
}

function line(event: string, args: readonly unknown[]): string {
  // A pool says last whose event it was: its tag comes first here, and the member itself is left out.
  const own = args.findIndex((arg) => typeof arg === 'object' && arg !== null && 'disconnect' in arg);
  const [tag, payload] = own === -1 ? [[], args] : [[args[own - 1]], args.slice(0, own - 1)];
  const shown = event === 'state' ? `${String(payload[0])} (was ${String(payload[1])})` : payload.map(show).join(' ');
  return [event.padEnd(7), ...tag, shown].join(' ').trimEnd();
}

/** A payload on one line. */
function show(value: unknown): string {
  if (value instanceof Uint8Array) return chunk(value);
  if (typeof value !== 'object' || value === null) return inspect(value);
  // When a retry is due follows from when it was told, and the delay.
  const fields = Object.entries(value).filter(([name, field]) => field !== undefined && name !== 'retryAt');
  return fields.map(([name, field]) => `${name}=${short(field)}`).join(' ');
}

function short(value: unknown): string {
  if (value instanceof Error) return 'code' in value ? String(value.code) : value.message;
  if (value instanceof Uint8Array) return chunk(value);
  if (typeof value === 'number') return String(Math.round(value));
  return typeof value === 'string' ? value : inspect(value, { breakLength: Infinity, depth: 1 });
}

function chunk(bytes: Uint8Array): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, SHOWN)).toString('latin1'));
  return `${bytes.length} bytes ${text}${bytes.length > SHOWN ? '…' : ''}`;
}
