import { checkObject } from '../options/checks';
import { ignoreRejection, invalidOption, toError, unreachable } from '../errors';

/**
 * A logger: any object that has these methods and those that `levels` names, such as `console` or a logger of pino,
 * winston, bunyan and most other libraries.
 */
export interface Logger {
  /** For normal events: a session opened, the application closed the connection. */
  readonly info: (...args: never[]) => unknown;
  /** For temporary failures: a session was lost, an attempt failed. */
  readonly warn: (...args: never[]) => unknown;
  /** For permanent failures: a connection gave up. */
  readonly error: (...args: never[]) => unknown;
}

/** How a logger's methods are called. */
export type LogConvention =
  /** `log(fields, message)`: pino, bunyan. */
  | 'fields-first'
  /** `log(message, fields)`: winston and most others. */
  | 'message-first'
  /** `log(message)`: a console, which would print the fields over many lines. The message says the same. */
  | 'message-only';

/** The fields of a line: flat, so that no logger prints the inside of an object. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Calls a logger by its convention. Errors of the logger are reported as a process warning. */
export class LogWriter {
  readonly #logger: object;
  readonly #convention: LogConvention;
  #warned = false;

  constructor(logger: object, convention: LogConvention) {
    this.#logger = logger;
    this.#convention = convention;
  }

  /** @param level - Name of a method that `checkLogger` has found. */
  write(level: string, message: string, fields: LogFields): void {
    try {
      // Looked up each time, because some loggers replace their methods when their level changes.
      const result = methodOf(this.#logger, level)?.apply(this.#logger, this.#argumentsOf(message, fields));
      if (result instanceof Promise) result.catch((error: unknown) => this.#warn(error));
    } catch (error) {
      this.#warn(error);
    }
  }

  #argumentsOf(message: string, fields: LogFields): unknown[] {
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

  /** Warns once, because a logger that fails is likely to fail at every line. */
  #warn(error: unknown): void {
    ignoreRejection(error);
    if (this.#warned) return;
    this.#warned = true;
    const message = `The logger of a connection failed, and a line was not logged: ${toError(error).message}`;
    process.emitWarning(message, { code: 'RECONNECTING_CONNECTION_LOGGER' });
  }
}

/** Guesses the convention of a logger by methods that only loggers of its family have; message first by default. */
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
  // `as`: a function, whose parameters depend on the convention.
  return typeof method === 'function' ? (method as Method) : undefined;
}
