import type { BackoffInfo, CloseInfo, DropInfo, OpenInfo, ResetInfo } from '../events/events';
import type { LogFields } from './logger';

/** What a line is about, and so what its level goes by. */
export type LogEvent =
  /** A session is usable; or all is well again. */
  | 'open'
  /** A session was lost. */
  | 'reset'
  /** `reconnect()` dropped a session. */
  | 'reconnect'
  /** A wait begins, after a loss or a failed attempt. */
  | 'backoff'
  /** A write will never be sent. */
  | 'drop'
  /** The application ended the lifecycle. */
  | 'close'
  /** The connection gave up. */
  | 'giveUp';

/** A line of the log. Its text is complete for people, its fields for machines. */
export interface LogLine {
  readonly event: LogEvent;
  readonly tag: string;
  readonly text: string;
  /** Without `event` and `tag`, which every line has. */
  readonly fields: LogFields;
  /** What makes lines alike: of those that are, the first is enough for a while. */
  readonly kind: string;
}

/** Characters of an error's message that are kept. */
const LONGEST = 200;

export function openLine(tag: string, { generation, attempts, remoteAddress }: OpenInfo): LogLine {
  const text = `open, session ${generation}${attempts > 1 ? ` after ${attempts} attempts` : ''}`;
  const fields = { generation, attempts, ...(remoteAddress !== undefined && { remoteAddress }) };
  return { event: 'open', tag, text, fields, kind: `open ${tag}` };
}

export function resetLine(tag: string, info: ResetInfo): LogLine {
  const event = info.reason === 'forced' ? 'reconnect' : 'reset';
  const end = event === 'reset' ? `lost session ${info.generation}` : `reconnect() dropped session ${info.generation}`;
  const why = event === 'reset' ? ` (${cause(info)})` : '';
  return {
    event,
    tag,
    text: `${end} after ${duration(info.uptime)}${why}${uncertainty(info)}`,
    fields: { generation: info.generation, uptime: info.uptime, ...causeFields(info), ...uncertainFields(info) },
    kind: `${event} ${tag} ${codeOf(info.error) ?? info.reason}`,
  };
}

export function backoffLine(tag: string, info: BackoffInfo): LogLine {
  const { attempt, delay, fault } = info;
  const faulty = fault === undefined ? '' : `; its backoff is at fault: ${readable(fault.message)}`;
  return {
    event: 'backoff',
    tag,
    text: `retry ${attempt} in ${duration(delay)} (${cause(info)})${faulty}`,
    fields: { attempt, delay, ...causeFields(info), ...(fault && { fault: readable(fault.message) }) },
    kind: `backoff ${tag} ${codeOf(info.error) ?? info.reason} ${fault === undefined ? '' : 'fault'}`,
  };
}

/** Of the write itself only its length: what it holds is for nobody's log. */
export function dropLine(tag: string, { bytes, reason, error }: DropInfo): LogLine {
  return {
    event: 'drop',
    tag,
    text: `dropped a write of ${bytes} bytes (${reason})`,
    fields: { bytes, reason, code: error.code },
    kind: `drop ${tag} ${reason}`,
  };
}

/** @param reset - How the session ended with which the lifecycle did, if there was one. */
export function closeLine(tag: string, info: CloseInfo, reset: ResetInfo | undefined): LogLine {
  const { reason, error } = info;
  const event = reason === 'disconnected' || reason === 'destroyed' || reason === 'aborted' ? 'close' : 'giveUp';
  const last = reset === undefined ? '' : `, session ${reset.generation} after ${duration(reset.uptime)}`;
  const why = event === 'giveUp' && error !== undefined ? `: ${readable(error.message)}` : '';
  return {
    event,
    tag,
    text: `closed (${reason})${last}${why}${reset ? uncertainty(reset) : ''}`,
    fields: {
      ...causeFields({ reason, ...(error && { error }) }),
      ...(reset && { generation: reset.generation, uptime: reset.uptime, ...uncertainFields(reset) }),
    },
    kind: `close ${reason}`,
  };
}

/** A number and its unit for a message: `1 retry`, `12 retries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Milliseconds as people say them. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${short(seconds)} s`;
  return seconds < 7200 ? `${short(seconds / 60)} min` : `${short(seconds / 3600)} h`;
}

function short(value: number): string {
  return value < 10 ? String(Number(value.toFixed(1))) : String(Math.round(value));
}

interface Cause {
  readonly reason: string;
  readonly error?: Error;
}

function cause({ reason, error }: Cause): string {
  return error === undefined || error.message === '' ? reason : readable(error.message);
}

/** An error as plain text: its stack leads into Node, and loggers differ in what else of it they show. */
function causeFields({ reason, error }: Cause): LogFields {
  const code = codeOf(error);
  return {
    reason,
    ...(code !== undefined && { code }),
    ...(error !== undefined && { error: readable(error.message) }),
  };
}

function codeOf(error: Error | undefined): string | undefined {
  return error !== undefined && 'code' in error && typeof error.code === 'string' ? readable(error.code) : undefined;
}

function uncertainty({ uncertain: { writes, bytes } }: ResetInfo): string {
  return writes === 0 ? '' : `; ${counted(writes, 'write')} of ${bytes} bytes may be lost`;
}

function uncertainFields({ uncertain: { writes, bytes } }: ResetInfo): LogFields {
  return writes === 0 ? {} : { uncertainWrites: writes, uncertainBytes: bytes };
}

/** Text of any origin on one line: short, with nothing that a terminal obeys, without the password of a URL. */
function readable(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').replace(/\/\/[^/\s@]*@/g, '//…@');
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain;
}
