import { checkObject } from '../options/checks';
import { ignoreRejection, invalidOption, toError, unreachable } from '../errors';

/**
 * What a line is logged with: any logger that has these methods, and those which `levels` names. `console`, pino,
 * winston, bunyan and most others do.
 */
export interface Logger {
  /** What goes well: sessions that open, ends that were asked for. */
  readonly info: (...args: never[]) => unknown;
  /** Trouble that may pass: sessions that are lost, attempts that fail. */
  readonly warn: (...args: never[]) => unknown;
  /** Trouble that stays: a connection that gave up. */
  readonly error: (...args: never[]) => unknown;
}

/** How a logger's methods are called. */
export type LogConvention =
  /** `log(fields, message)`: pino, bunyan. */
  | 'fields-first'
  /** `log(message, fields)`: winston and most others. */
  | 'message-first'
  /** `log(message)`: a console, which would spread the fields over many lines. The message says all that they do. */
  | 'message-only';

/** The facts of a line, for machines: flat, and without objects that hold more than they show. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Calls a logger in its own way, and is not hurt by it. */
export class LogWriter {
  readonly #logger: object;
  readonly #convention: LogConvention;
  #warned = false;

  constructor(logger: object, convention: LogConvention) {
    this.#logger = logger;
    this.#convention = convention;
  }

  /** Logs at a level whose method was there when it was checked. */
  write(level: string, message: string, fields: LogFields): void {
    try {
      // Looked up every time, for some loggers swap their methods when their level is changed.
      const result = methodOf(this.#logger, level)?.apply(this.#logger, this.#arrange(message, fields));
      if (result instanceof Promise) result.catch((error: unknown) => this.#complain(error));
    } catch (error) {
      this.#complain(error);
    }
  }

  #arrange(message: string, fields: LogFields): unknown[] {
    switch (this.#convention) {
      case 'fields-first':
        return [fields, message];
      case 'message-first':
        return [message, fields];
      case 'message-only':
        return [message];
      default:
        unreachable(this.#convention);
    }
  }

  /** Once, for a logger that fails is likely to fail at every line. */
  #complain(error: unknown): void {
    ignoreRejection(error);
    if (this.#warned) return;
    this.#warned = true;
    const message = `The logger of a connection failed, and its line is lost: ${toError(error).message}`;
    process.emitWarning(message, { code: 'RECONNECTING_CONNECTION_LOGGER' });
  }
}

/** The convention of a logger, by what only loggers of its family have; message first where nothing tells. */
export function conventionOf(logger: object): LogConvention {
  const has = (name: string) => methodOf(logger, name) !== undefined;
  // pino's `bindings` and bunyan's `addStream` are public methods of every logger and child.
  if (has('bindings') || has('addStream')) return 'fields-first';
  return has('table') && has('dir') ? 'message-only' : 'message-first';
}

/** Throws `ERR_INVALID_OPTION` unless `logger` has a method for each of `levels`. */
export function checkLogger(logger: unknown, levels: Iterable<string>): asserts logger is object {
  if (typeof logger !== 'function') checkObject(logger, '`logger`');
  for (const level of levels) {
    if (methodOf(logger, level) !== undefined) continue;
    throw invalidOption(`\`logger.${level}\``, 'a function', Reflect.get(logger, level));
  }
}

type Method = (this: object, ...args: unknown[]) => unknown;

function methodOf(logger: object, name: string): Method | undefined {
  const method: unknown = Reflect.get(logger, name);
  // `as`: a function; what it takes is its family's convention.
  return typeof method === 'function' ? (method as Method) : undefined;
}
