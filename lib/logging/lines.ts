import { type BackoffInfo, type CloseInfo, type OpenInfo, type ResetInfo, isRequested } from '../events/events';
import { readable } from '../errors';
import { codeOf, failureOf } from '../events/failure-text';
import type { LogFields } from './logger';

/** The event that a line reports; it determines the level of the line. */
export type LogEvent =
  /** A session is usable, or an outage is over. */
  | 'open'
  /** A session was lost. */
  | 'reset'
  /** `reconnect()` dropped a session, or another has replaced it. */
  | 'reconnect'
  /** A wait begins, after a loss or a failed attempt. */
  | 'backoff'
  /** A write will never be sent. */
  | 'drop'
  /** The application closed the connection, also by `shouldRetry` after an end without an error. */
  | 'close'
  /** `shouldRetry` closed the connection after a failure. */
  | 'notRetryable'
  /** The connection gave up. */
  | 'giveUp'
  /** A member of a pool is left out of `pick()`. */
  | 'eject'
  /** It is picked again. */
  | 'restore'
  /** A list that a pool follows changes its members, or its source has ended or gives lists again. */
  | 'source'
  /** Such a source has failed, or its list was refused. */
  | 'sourceFailed';

/** A line of the log. Its text and its fields say the same, to people and to programs. */
export interface LogLine {
  readonly event: LogEvent;
  readonly tag: string;
  readonly text: string;
  /** Without `event` and `tag`, which every line has. */
  readonly fields: LogFields;
  /** Lines of the same kind count as repetitions in an outage. */
  readonly kind: string;
  /** The connection that it is about, unless it is about several. */
  readonly connection?: object | undefined;
}

/** A line that may be one for several connections. */
export interface SharedLine extends LogLine {
  /** What they have in common: `are open`. */
  readonly shared: string;
}

/** What has happened in an outage so far. */
export interface OutageTotals {
  /** Milliseconds since it began. */
  readonly duration: number;
  readonly retries: number;
  readonly losses: number;
  /** Writes that lost sessions did not confirm. */
  readonly uncertainWrites: number;
  readonly uncertainBytes: number;
  readonly droppedWrites: number;
  readonly droppedBytes: number;
  /** Connections that have closed. */
  readonly closes: number;
  /** Connections that have no session at the moment. */
  readonly down: number;
}

/** The kind of a {@link recoveryLine}. */
export const RECOVERY = 'recovery';

/** @param trial - In an outage, the milliseconds after which the session counts as healthy. */
export function openLine(tag: string, { generation, attempts, remoteAddress }: OpenInfo, trial = 0): SharedLine {
  const after = attempts > 1 ? ` after ${attempts} attempts` : '';
  const text = `open, session ${generation}${after}${trial > 0 ? `, on trial for ${duration(trial)}` : ''}`;
  const shared = `are open${generation > 1 ? `, session ${generation}` : ''}${after}`;
  const fields = {
    generation,
    attempts,
    ...(remoteAddress !== undefined && { remoteAddress }),
    ...(trial > 0 && { trial: Math.round(trial) }),
  };
  return { event: 'open', tag, text, fields, kind: `open ${tag}`, shared };
}

export function resetLine(tag: string, info: ResetInfo): LogLine {
  const { reason, generation } = info;
  const isAsked = isRequested(reason);
  const event = isAsked ? 'reconnect' : 'reset';
  const did = reason === 'forced' ? 'reconnect() dropped' : reason === 'replaced' ? 'replaced' : 'lost';
  const end = `${did} session ${generation}`;
  const cause = causeOf(info);
  const why = isAsked && info.error === undefined ? '' : ` (${cause.text})`;
  return {
    event,
    tag,
    text: `${end} after ${duration(info.uptime)}${why}${uncertainty(info)}`,
    fields: { generation: info.generation, uptime: info.uptime, ...cause.fields, ...uncertainFields(info) },
    kind: `${event} ${tag} ${codeOf(info.error) ?? info.reason}`,
  };
}

export function backoffLine(tag: string, info: BackoffInfo): LogLine {
  const { attempt, delay } = info;
  const cause = causeOf(info);
  const fault = info.fault && readable(info.fault.message);
  const failed = fault === undefined ? '' : `; \`backoff\` or \`shouldRetry\` failed: ${fault}`;
  return {
    event: 'backoff',
    tag,
    text: `retry ${attempt} in ${duration(delay)} (${cause.text})${failed}`,
    fields: { attempt, delay, ...cause.fields, ...(fault !== undefined && { fault }) },
    kind: `backoff ${tag} ${codeOf(info.error) ?? info.reason} ${fault === undefined ? '' : 'fault'}`,
  };
}

/** @param reset - The reset of the session that was open until the connection closed, if there was one. */
export function closeLine(tag: string, info: CloseInfo, reset: ResetInfo | undefined): SharedLine {
  const { reason, error } = info;
  const event = closeEvent(info);
  const last = reset === undefined ? '' : `, session ${reset.generation} after ${duration(reset.uptime)}`;
  const cause = causeOf(info);
  const why = reason !== 'aborted' && error !== undefined ? `: ${cause.text}` : '';
  return {
    event,
    tag,
    text: `closed (${reason})${last}${why}${reset ? uncertainty(reset) : ''}`,
    fields: {
      ...cause.fields,
      ...(reset && { generation: reset.generation, uptime: reset.uptime, ...uncertainFields(reset) }),
    },
    kind: `close ${reason}`,
    shared: `closed (${reason})${why}`,
  };
}

/** One line for several that have `event`, `tag` and `shared` in common. */
export function togetherLine(lines: readonly [SharedLine, ...SharedLine[]]): LogLine {
  const [first] = lines;
  if (lines.length === 1) return first;
  const sumOf = (name: string) => lines.reduce((sum, { fields }) => sum + Number(fields[name] ?? 0), 0);
  const uncertain = { writes: sumOf('uncertainWrites'), bytes: sumOf('uncertainBytes') };
  const common = Object.entries(first.fields).filter(([name, value]) =>
    lines.every(({ fields }) => fields[name] === value),
  );
  const fields = { ...Object.fromEntries(common), connections: lines.length, ...uncertainFields({ uncertain }) };
  const text = `${lines.length} connections ${first.shared}${uncertainty({ uncertain })}`;
  return { ...first, text, fields, connection: undefined };
}

function closeEvent({ reason, error }: CloseInfo): LogEvent {
  if (reason === 'disconnected' || reason === 'destroyed' || reason === 'aborted') return 'close';
  if (reason !== 'not-retryable') return 'giveUp';
  return error?.cause === undefined ? 'close' : 'notRetryable';
}

/** The line for the moment at which all connections of an outage have healthy sessions again. */
export function recoveryLine(
  tag: string,
  connections: number,
  attempts: number,
  downtime: number,
  totals: OutageTotals,
): LogLine {
  const subject = connections === 1 ? 'back' : `all ${connections} connections are back`;
  const lost = lostWrites(totals).map((part) => `, ${part}`);
  const text = `${subject} after ${counted(attempts, 'attempt')} in ${duration(downtime)}${lost.join('')}`;
  const fields = { attempts, downtime, ...(connections > 1 && { connections }), ...lostFields(totals) };
  return { event: 'open', tag, text, fields, kind: RECOVERY };
}

/** An outage so far, as text and as fields: `in 62 s: 14 retries, 3 lost sessions`. */
export function summaryOf(totals: OutageTotals): Pick<LogLine, 'text' | 'fields'> {
  const { retries, losses, closes, down } = totals;
  const parts = [
    retries > 0 && counted(retries, 'retry', 'retries'),
    losses > 0 && counted(losses, 'lost session'),
    ...lostWrites(totals),
    closes > 1 && `${closes} connections closed`,
    down > 1 && `${down} connections down`,
  ];
  const text = `in ${duration(totals.duration)}: ${parts.filter((part) => part !== false).join(', ')}`;
  const figures = { duration: Math.round(totals.duration), retries, losses, ...(down > 1 && { down }) };
  return { text, fields: { ...figures, ...lostFields(totals) } };
}

function lostWrites({ uncertainWrites, uncertainBytes, droppedWrites, droppedBytes }: OutageTotals): string[] {
  return [
    ...(uncertainWrites > 0 ? [`${counted(uncertainWrites, 'write')} (${uncertainBytes} bytes) that may be lost`] : []),
    ...(droppedWrites > 0 ? [`${counted(droppedWrites, 'dropped write')} (${droppedBytes} bytes)`] : []),
  ];
}

function lostFields({ uncertainWrites, uncertainBytes, droppedWrites, droppedBytes }: OutageTotals): LogFields {
  return {
    ...(uncertainWrites > 0 && { uncertainWrites, uncertainBytes }),
    ...(droppedWrites > 0 && { droppedWrites, droppedBytes }),
  };
}

/** A number and its unit for a message: `1 retry`, `12 retries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A duration in milliseconds as text with a suitable unit. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${short(seconds)} s`;
  return seconds < 7200 ? `${short(seconds / 60)} min` : `${short(seconds / 3600)} h`;
}

function short(value: number): string {
  return value < 10 ? String(Number(value.toFixed(1))) : String(Math.round(value));
}

/** An error as plain text: its stack is in Node's code, and loggers differ in which other properties they show. */
export function causeOf({
  reason,
  error,
}: {
  readonly reason: string;
  readonly error?: Error;
}): Pick<LogLine, 'text' | 'fields'> {
  if (error === undefined) return { text: reason, fields: { reason } };
  const { message, codes, hint } = failureOf(error);
  const [code, causeCode] = codes;
  const found = {
    ...(code !== undefined && { code }),
    ...(causeCode !== undefined && { causeCode }),
    error: message,
    ...(hint !== undefined && { hint }),
  };
  const text = `${message === '' ? reason : message}${hint === undefined ? '' : `: ${hint}`}`;
  return { text, fields: { reason, ...found } };
}

function uncertainty({ uncertain: { writes, bytes } }: Pick<ResetInfo, 'uncertain'>): string {
  return writes === 0 ? '' : `; ${counted(writes, 'write')} (${bytes} bytes) may be lost`;
}

function uncertainFields({ uncertain: { writes, bytes } }: Pick<ResetInfo, 'uncertain'>): LogFields {
  return writes === 0 ? {} : { uncertainWrites: writes, uncertainBytes: bytes };
}
