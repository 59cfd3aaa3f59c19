import { HEALTHY } from '../events/events';
import { type Check, type Checks, checkObject, checkRecord, interval, oneOf, orInfinity } from '../options/checks';
import type { ReconnectingConnection } from '../connection';
import { fromCaller, invalidOption } from '../errors';
import type { LogEvent, LogLine } from './lines';
import { type LogConvention, type Logger, LogWriter, checkLogger, conventionOf } from './logger';
import type { ConnectionPool, PoolEvents } from '../pool/pool';
import { EventLog } from './event-log';
import { LogMembers } from './members';
import { ejectLine, restoreLine } from './pool-lines';
import type { OutageSettings } from './repeats';
import { SourceLog } from './source-log';

/** The level of each line by its event: the name of a method of the logger, or false to omit such lines. */
export type LogLevels = Readonly<Partial<Record<LogEvent, string | false>>>;

/** Options of {@link logEvents}. */
export interface LogEventsOptions {
  /**
   * The levels that differ from the default,
   * `{ open: 'info', reset: 'warn', reconnect: 'info', backoff: 'warn', drop: 'warn', close: 'info', giveUp: 'error' }`;
   * `notRetryable`, `eject` and `sourceFailed` have the level of `reset`; `restore` and `source` that of `open`.
   */
  readonly levels?: LogLevels | undefined;
  /**
   * How the logger's methods are called. Default: `'fields-first'` for a logger with pino's `bindings` or bunyan's
   * `addStream`, `'message-only'` for one with a console's `table` and `dir`, and otherwise `'message-first'`.
   */
  readonly convention?: LogConvention | undefined;
  /**
   * Milliseconds until the first summary of an outage, which is logged with the first event after it is due, and until the
   * next line of dropped writes. The interval doubles with each of them. Default: 10,000.
   */
  readonly interval?: number | undefined;
  /** The longest interval between summaries, in milliseconds; Infinity for no limit. Default: 600,000. */
  readonly maxInterval?: number | undefined;
  /** Milliseconds without a failure after which an outage is over, if all sessions are healthy. Default: 5000. */
  readonly settleTime?: number | undefined;
}

const DEFAULT_LEVELS: Readonly<Record<LogEvent, string | false>> = {
  open: 'info',
  reset: 'warn',
  reconnect: 'info',
  backoff: 'warn',
  drop: 'warn',
  close: 'info',
  notRetryable: 'warn',
  giveUp: 'error',
  eject: 'warn',
  restore: 'info',
  source: 'info',
  sourceFailed: 'warn',
};

const EVENTS = ['open', 'reset', 'backoff', 'drop', 'close'] as const;

/** `checkLogger` checks whether the logger has the method. */
const level: Check<string | false> = (value, name) => {
  if (value === false || (typeof value === 'string' && value !== '')) return value;
  throw invalidOption(name, 'the name of a method of the logger, or false', value);
};

// `as`: it has the same names.
const levelChecks = Object.fromEntries(Object.keys(DEFAULT_LEVELS).map((event) => [event, level])) as Checks<LogLevels>;

const checks: Checks<LogEventsOptions> = {
  levels: (value) => checkRecord<LogLevels>('levels', value, levelChecks),
  convention: oneOf('fields-first', 'message-first', 'message-only'),
  interval,
  maxInterval: orInfinity(interval),
  settleTime: interval,
};

/**
 * Logs the events of a connection, or of all members of a pool, as lines with flat fields: `event`, `tag` and, depending
 * on the event, `generation`, `attempts`, `attempt`, `delay`, `reason`, `code`, `error`, `uptime` and others. Bytes that
 * were sent or received are never logged.
 *
 * In an outage, the first line of each kind is logged at once. Repeated lines are counted, and summarized at growing
 * intervals and at the end. All connections to the same target share an outage. The line that says `back` comes when the
 * sessions have proved healthy, after `minUptime` or with `markHealthy()`.
 *
 * Each dropped write is counted in exactly one line: the `writes` of the `drop` lines add up. Members of a pool that open or
 * close together and share a tag are one line; otherwise their lines have `#` and a number, which is the field `member`.
 *
 * If the logger throws or rejects, the line is lost, and the first time the process emits a warning with the code
 * `RECONNECTING_CONNECTION_LOGGER`.
 *
 * @returns a function that logs what was only counted so far, and stops the logging
 * @throws ConnectionError `ERR_INVALID_OPTION`, also if the logger lacks a method that `levels` names
 */
export function logEvents<Message>(
  emitter: ReconnectingConnection<Message> | ConnectionPool<Message>,
  logger: Logger,
  options: LogEventsOptions = {},
): () => void {
  const { levels, convention, ...settings } = fromCaller(logEvents, () => {
    checkEmitter(emitter);
    return resolve(logger, options);
  });
  const writer = new LogWriter(logger, convention);
  const members = new LogMembers('connections' in emitter ? emitter : []);
  const report = ({ event, tag, text, fields, connection }: LogLine) => {
    const level = levels[event];
    if (level === false) return;
    const member = connection && members.numberOf(connection);
    const name = member === undefined ? tag : `${tag} #${member}`;
    writer.write(level, `${name}: ${text}`, { event, tag, ...(member !== undefined && { member }), ...fields });
  };
  const stopEvents = listen(emitter, members, new EventLog(settings, members, report));
  const stopPoolEvents = listenToPool(emitter, settings, report);
  return () => {
    stopPoolEvents();
    stopEvents();
  };
}

/** Checks the logger and the options, and fills in the defaults. */
function resolve(logger: Logger, options: LogEventsOptions) {
  const given = checkRecord<LogEventsOptions>('', options, checks);
  const { open = DEFAULT_LEVELS.open, reset = DEFAULT_LEVELS.reset } = given.levels ?? {};
  const failed = { notRetryable: reset, eject: reset, sourceFailed: reset };
  const levels = { ...DEFAULT_LEVELS, ...failed, restore: open, source: open, ...given.levels };
  const names = Object.values(levels).filter((name) => name !== false);
  checkLogger(logger, names);
  const { interval = 10_000, maxInterval = Math.max(interval, 600_000), settleTime = 5000 } = given;
  if (maxInterval < interval) throw invalidOption('option `maxInterval`', `≥ \`interval\` (${interval})`, maxInterval);
  return { levels, convention: given.convention ?? conventionOf(logger), interval, maxInterval, settleTime };
}

function checkEmitter(emitter: unknown): void {
  checkObject(emitter, '`emitter`');
  const { on, off } = emitter as Partial<ReconnectingConnection>;
  const isOurs =
    typeof on === 'function' && typeof off === 'function' && ('tag' in emitter || 'connections' in emitter);
  if (!isOurs) throw invalidOption('`emitter`', 'a connection or a pool', emitter);
}

function listen<Message>(
  emitter: ReconnectingConnection<Message> | ConnectionPool<Message>,
  members: LogMembers,
  log: EventLog,
): () => void {
  // `as`: a pool passes the tag and the member to its listeners; for a connection, the defaults stand in for them.
  const pool = emitter as ConnectionPool<Message>;
  const single = emitter as ReconnectingConnection<Message>;
  let isStopped = false;
  const listeners = EVENTS.map((event) => {
    const listener = (info: object, tag = single.tag, connection: object = single) => {
      members.see(connection, tag);
      // `as`: it is that of the event.
      log[event](info as never, tag, connection);
      // A listener before this one has stopped the logging: this event is the last, and nothing waits.
      if (isStopped) log.end();
    };
    pool.on(event, listener);
    return [event, listener] as const;
  });
  const onHealthy = (tag = single.tag, connection = single) => log.healthy(tag, connection);
  pool.on(HEALTHY, onHealthy);
  return () => {
    isStopped = true;
    pool.off(HEALTHY, onHealthy);
    for (const [event, listener] of listeners) pool.off(event, listener);
    log.end();
  };
}

/** The events that only pools have. Each ejection is a line of its own: they are rare, and each lasts longer than the one before. */
function listenToPool<Message>(
  emitter: ReconnectingConnection<Message> | ConnectionPool<Message>,
  settings: OutageSettings,
  report: (line: LogLine) => void,
): () => void {
  // `as`: a connection never emits these.
  const pool = emitter as ConnectionPool<Message>;
  const sources = new SourceLog(settings, report);
  const onEject: PoolEvents<Message>['eject'] = (info, tag, member) => report(ejectLine(tag, info, member));
  const onRestore: PoolEvents<Message>['restore'] = (info, tag, member) => report(restoreLine(tag, info, member));
  const onSource: PoolEvents<Message>['source'] = (info) => sources.add(info);
  pool.on('eject', onEject).on('restore', onRestore).on('source', onSource);
  return () => {
    pool.off('eject', onEject).off('restore', onRestore).off('source', onSource);
    sources.end();
  };
}
