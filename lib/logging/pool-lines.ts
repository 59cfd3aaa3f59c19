import type { EjectInfo, RestoreInfo } from '../pool/ejection-policy';
import type { SourceInfo } from '../pool/follow-options';
import { type LogLine, causeOf, counted, duration } from './lines';

export function ejectLine(tag: string, info: EjectInfo, connection: object): LogLine {
  const { failures, ejections, duration: time } = info;
  const cause = causeOf(info);
  const after = failures === 1 ? 'a failure' : `${failures} failures in a row`;
  const text = `left out of pick() for ${duration(time)} after ${after} (${cause.text})`;
  const fields = { failures, ejections, duration: time, ...cause.fields };
  return { event: 'eject', tag, text, fields, kind: `eject ${tag}`, connection };
}

export function restoreLine(tag: string, { ejections, duration: time }: RestoreInfo, connection: object): LogLine {
  const text = `picked again after ${duration(time)}`;
  return { event: 'restore', tag, text, fields: { ejections, duration: time }, kind: `restore ${tag}`, connection };
}

/** A list that a followed source has given is obeyed. */
export function listLine(tag: string, { joined, left }: SourceInfo): LogLine {
  return { event: 'source', tag, text: changes(joined, left), fields: { joined, left }, kind: 'list' };
}

/** A source has failed, or its list was refused. */
export function troubleLine(tag: string, info: SourceInfo): LogLine {
  const { kind, delay, error } = info;
  const cause = causeOf({ reason: kind, ...(error && { error }) });
  const what = kind === 'refused' ? 'a list was refused, the one before is kept' : `failed, ${nextOf(delay)}`;
  const fields = { ...(delay !== undefined && { delay: Math.round(delay) }), ...cause.fields };
  const { code = '' } = cause.fields;
  return { event: 'sourceFailed', tag, text: `${what}: ${cause.text}`, fields, kind: `${kind} ${code}` };
}

export function endLine(tag: string, { delay }: SourceInfo): LogLine {
  const fields = { reason: 'ended', ...(delay !== undefined && { delay: Math.round(delay) }) };
  return { event: 'source', tag, text: `ended, ${nextOf(delay)}`, fields, kind: 'ended' };
}

/** What has gone wrong with a source since `since`, as a summary that ends with the latest of it. */
export function troublesLine(latest: LogLine, failures: number, time: number): LogLine {
  const text = `in ${duration(time)}: ${counted(failures, 'failure')}; latest: ${latest.text}`;
  return { ...latest, text, fields: { ...latest.fields, failures, duration: Math.round(time) } };
}

/** A source gives lists again, of which this is the first. */
export function sourceBackLine(list: LogLine, failures: number, time: number): LogLine {
  const text = `back after ${counted(failures, 'failure')} in ${duration(time)}, ${list.text}`;
  return { ...list, text, fields: { ...list.fields, failures, duration: Math.round(time) }, kind: 'back' };
}

function changes(joined: number, left: number): string {
  return `${counted(joined, 'member')} joined, ${left} left`;
}

function nextOf(delay: number | undefined): string {
  return delay === undefined ? 'and gives no more lists' : `asked again in ${duration(delay)}`;
}
