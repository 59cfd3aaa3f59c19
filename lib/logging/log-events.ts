import type { ChannelEvent } from '../events/diagnostics-channel';
import { type Check, type Checks, checkObject, checkRecord, interval, oneOf, orInfinity } from '../options/checks';
import type { ReconnectingConnection } from '../connection';
import { invalidOption } from '../errors';
import type { LogEvent, LogLine } from './lines';
import { type LogConvention, type Logger, LogWriter, checkLogger, conventionOf } from './logger';
import type { ConnectionPool, PoolEvents } from '../pool/pool';
import { Outages } from './outages';

/** The level of each kind of line: the name of the logger's method, or false for no such lines. */
export type LogLevels = Readonly<Partial<Record<LogEvent, string | false>>>;

/** Options of {@link logEvents}. */
export interface LogEventsOptions {
  /**
   * The level of each kind of line: the name of a method of the logger, or false to leave such lines out. Default:
   * `{ open: 'info', reset: 'warn', reconnect: 'info', backoff: 'warn', drop: 'warn', close: 'info', giveUp: 'error' }`.
   */
  readonly levels?: LogLevels;
  /**
   * How the logger's methods are called: `'fields-first'` as pino and bunyan want it, `'message-first'` as winston and
   * most others do, or `'message-only'`. Default: `'fields-first'` for a logger with pino's `bindings` or bunyan's
   * `addStream`, `'message-only'` for one with a console's `table` and `dir`, else `'message-first'`.
   */
  readonly convention?: LogConvention;
  /**
   * Milliseconds after which the first summary of a storm may be logged; the next may come after twice as long, and so
   * on. It is logged with the next event, so that no timer is needed. Default: 10,000.
   */
  readonly interval?: number;
  /** The longest that the time from one summary to the next grows, in milliseconds; Infinity for no bound. Default: 600,000. */
  readonly maxInterval?: number;
  /** Milliseconds without trouble after which a storm is over. Default: 5000, as `minUptime`. */
  readonly settleTime?: number;
}

const DEFAULT_LEVELS: Readonly<Record<LogEvent, string | false>> = {
  open: 'info',
  reset: 'warn',
  reconnect: 'info',
  backoff: 'warn',
  drop: 'warn',
  close: 'info',
  giveUp: 'error',
};

/** A method of the logger, or none; whether it is there is asked of the logger. */
const level: Check<string | false> = (value, name) => {
  if (value === false || (typeof value === 'string' && value !== '')) return value;
  throw invalidOption(name, 'the name of a method of the logger, or false', value);
};

const levelChecks: Checks<LogLevels> = {
  open: level,
  reset: level,
  reconnect: level,
  backoff: level,
  drop: level,
  close: level,
  giveUp: level,
};

const checks: Checks<LogEventsOptions> = {
  levels: (value) => checkRecord<LogLevels>('levels', value, levelChecks),
  convention: oneOf('fields-first', 'message-first', 'message-only'),
  interval,
  maxInterval: orInfinity(interval),
  settleTime: interval,
};

/**
 * Logs the life of a connection, or of all members of a pool, in lines with fields: `event`, `tag` and, as the event
 * has them, `generation`, `attempts`, `attempt`, `delay`, `reason`, `code`, `error`, `uptime` and others, all of them
 * flat. Bytes that were sent or received are never logged.
 *
 * Of a storm, such as a server that is down for hours or one that accepts and hangs up, each kind of line is logged at
 * once and once; what repeats is counted, summed up at growing intervals, and told when it is over. The connections to
 * one target have their storms together.
 *
 * A logger that throws, or returns a promise that rejects, loses its line; the first time, the process emits a warning
 * with the code `RECONNECTING_CONNECTION_LOGGER`.
 *
 * @returns a function that ends it
 * @throws ConnectionError `ERR_INVALID_OPTION`, also for a logger without a method that is to be called
 */
export function logEvents<Message>(
  emitter: ReconnectingConnection<Message> | ConnectionPool<Message>,
  logger: Logger,
  options: LogEventsOptions = {},
): () => void {
  checkEmitter(emitter);
  const given = checkRecord<LogEventsOptions>('', options, checks);
  const levels = { ...DEFAULT_LEVELS, ...given.levels };
  checkLogger(
    logger,
    Object.values(levels).filter((name) => name !== false),
  );
  const { interval = 10_000, maxInterval = Math.max(interval, 600_000), settleTime = 5000 } = given;
  if (maxInterval < interval) throw invalidOption('option `maxInterval`', `≥ \`interval\` (${interval})`, maxInterval);

  const writer = new LogWriter(logger, given.convention ?? conventionOf(logger));
  const storms = new Outages({ interval, maxInterval, settleTime }, ({ event, tag, text, fields }: LogLine) => {
    const level = levels[event];
    if (level !== false) writer.write(level, `${tag}: ${text}`, { event, tag, ...fields });
  });
  return listen(emitter, storms);
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
  storms: Outages,
): () => void {
  // `as`: a pool adds the tag and the member to what listeners are told, and where they are missing they are its own.
  const pool = emitter as ConnectionPool<Message>;
  const whose = ([tag, member]: [tag?: string, member?: object]): [string, object] => [
    tag ?? (emitter as ReconnectingConnection<Message>).tag,
    member ?? emitter,
  ];
  const {
    open,
    reset,
    backoff,
    drop,
    close,
  }: Pick<PoolEvents<Message>, ChannelEvent> = {
    open: (info, ...who) => storms.onOpen(info, ...whose(who)),
    reset: (info, ...who) => storms.onReset(info, ...whose(who)),
    backoff: (info, ...who) => storms.onBackoff(info, ...whose(who)),
    drop: (info, ...who) => storms.onDrop(info, ...whose(who)),
    close: (info, ...who) => storms.onClose(info, ...whose(who)),
  };
  pool.on('open', open).on('reset', reset).on('backoff', backoff).on('drop', drop).on('close', close);
  return () => {
    pool.off('open', open).off('reset', reset).off('backoff', backoff).off('drop', drop).off('close', close);
    storms.clear();
  };
}
