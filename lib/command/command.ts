import { fstatSync } from 'node:fs';
import { constants } from 'node:os';

import {
  type CloseInfo,
  type LogLevels,
  type ResetInfo,
  ConnectionError,
  ReconnectingConnection,
  logEvents,
} from 'reconnecting-connection';

import { type Settings, UsageError } from './arguments';
import { type Count, Input } from './input';
import { Output } from './output';

/** How long a signal lets what was read go out, in milliseconds. */
const GRACE = 2_000;
/** How much later than its session, in milliseconds, an input may end that has ended in fact: `echo` is still exiting. */
const LATE_END = 250;
/** Enough for what is read at once, which goes into the queue when a signal comes in an outage. */
const QUEUE = 4 * 1024 * 1024;
const LONGEST_DELAY = 2_147_483_647;
const QUIET: LogLevels = {
  ...{ open: false, reset: false, reconnect: false, backoff: false, drop: false, close: false },
  notRetryable: 'error',
};

/** How the command ends: an exit code, or the signal that stopped it. */
export type Outcome = number | NodeJS.Signals;

/** Connects standard input and output to a connection that reconnects. */
export class Command {
  readonly #settings: Settings;
  readonly #connection: ReconnectingConnection;
  readonly #input: Input;
  readonly #output: Output;
  /** Resolves when what is read was written. */
  #sending: Promise<unknown> = Promise.resolve();
  #inputError: Error | undefined;
  #outputError: NodeJS.ErrnoException | undefined;
  /** Whether the input has ended, so that no further session is wanted. */
  #isFinishing = false;
  #lastReset: ResetInfo | undefined;
  #signal: NodeJS.Signals | undefined;
  #silence: NodeJS.Timeout | undefined;

  /** @throws UsageError */
  constructor(settings: Settings) {
    const { stdin, stdout } = process;
    const connection = connectionOf(settings, () => !settings.once && !this.#isFinishing);
    this.#settings = settings;
    this.#connection = connection;
    this.#input = new Input(connection, stdin, settings.lines);
    this.#output = new Output(connection, stdout, {
      lines: settings.lines,
      log: (text) => this.#log(text),
      onClosed: (error) => {
        this.#outputError = error;
        connection.destroy();
      },
    });
  }

  async run(): Promise<Outcome> {
    // An input that ends, and a log that fails, are no reason to stop.
    process.stderr.on('error', () => undefined);
    const print = (line: string) => void process.stderr.write(`${line}\n`);
    const logger = { info: print, warn: print, error: print };
    logEvents(this.#connection, logger, {
      convention: 'message-only',
      ...(this.#settings.quiet && { levels: QUIET }),
    });
    // In one line, and as an option of the command.
    process.removeAllListeners('warning').on('warning', ({ message }) => {
      this.#log(message.replace('`rejectUnauthorized: false`', '--insecure'));
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#onSignal(signal));
    const info = await this.#closed();
    await this.#waitForLateEnd(info);
    this.#input.stop();
    await this.#sending;
    await this.#input.settled();
    await this.#output.flush();
    return this.#outcome(info);
  }

  #closed(): Promise<CloseInfo> {
    const connection = this.#connection;
    connection
      .on('open', ({ reopened }) => {
        if (this.#settings.hello.length > 0) connection.write(this.#settings.hello);
        if (!reopened) this.#sending = this.#send();
      })
      .on('data', (chunk) => {
        this.#silence?.refresh();
        this.#output.onData(chunk);
      })
      .on('reset', (info) => {
        this.#lastReset = info;
        this.#output.onReset(info);
      });
    return new Promise((resolve) => connection.on('close', resolve));
  }

  async #send(): Promise<void> {
    let bytes = 0;
    try {
      bytes = await this.#input.send();
    } catch (error) {
      this.#inputError = error instanceof Error ? error : new Error(String(error));
    }
    // With /dev/null there is no input, and so no end of it.
    const isNone = bytes === 0 && this.#input.isEnded && isDevice();
    if (!isNone) void this.#input.settled().then(() => this.#finish());
  }

  /** The input has ended, and all of it was sent, or is lost. */
  #finish(): void {
    const { wait, shutdown } = this.#settings;
    if (this.#signal !== undefined || this.#connection.state === 'closed') return;
    this.#isFinishing = true;
    this.#silence = setTimeout(() => this.#onSilence(), wait);
    // Without a session there is nothing to wait for.
    if (shutdown || this.#connection.state !== 'open') void this.#connection.disconnect();
  }

  #onSilence(): void {
    // It is not the peer that is silent.
    if (this.#output.isFull) return void this.#silence?.refresh();
    if (!this.#settings.quiet) this.#log(`nothing has come for ${this.#settings.wait} ms since the end of input`);
    this.#end();
  }

  /** Ends the session: after what was written, and at the latest when the grace is over. */
  #end(): void {
    const isEnding = this.#connection.state === 'closing';
    void this.#connection.disconnect();
    if (isEnding && this.#signal === undefined) this.#connection.destroy();
    else setTimeout(() => this.#connection.destroy(), GRACE);
  }

  #onSignal(signal: NodeJS.Signals): void {
    if (this.#signal !== undefined || this.#connection.state === 'closed') endBy(signal);
    this.#signal = signal;
    this.#input.stop();
    void this.#sending.then(() => this.#end());
    setTimeout(() => {
      this.#log('standard output did not take all that had arrived');
      endBy(signal);
    }, GRACE + LATE_END);
  }

  async #waitForLateEnd(info: CloseInfo): Promise<void> {
    if (!this.#isPeersEnd(info) || this.#isInputOver) return;
    await Promise.race([this.#sending, new Promise((resolve) => setTimeout(resolve, LATE_END))]);
  }

  /** Whether the peer has ended the only session in good order. */
  #isPeersEnd({ reason }: CloseInfo): boolean {
    return reason === 'not-retryable' && this.#lastReset?.reason === 'peer-end' && this.#lastReset.error === undefined;
  }

  /** Whether no more input is due: it has ended, or is a terminal, which does not end by itself. */
  get #isInputOver(): boolean {
    return this.#input.isEnded || process.stdin.isTTY;
  }

  #outcome(info: CloseInfo): Outcome {
    if (this.#outputError?.code === 'EPIPE') return 128 + constants.signals.SIGPIPE;
    const { lost, uncertain } = this.#input;
    const unsent = [
      ...(lost.writes > 0 ? [`${this.#counted(lost)} not sent`] : []),
      ...(uncertain.writes > 0 ? [`${this.#counted(uncertain)} may be lost`] : []),
    ];
    if (unsent.length > 0) this.#log(`of standard input, ${unsent.join(', ')}`);
    if (this.#inputError !== undefined) this.#log(`standard input failed: ${this.#inputError.message}`);
    if (unsent.length > 0 || this.#inputError !== undefined) return 3;
    if (this.#outputError !== undefined) {
      this.#log(`standard output failed: ${this.#outputError.message}`);
      return 1;
    }
    return this.#signal ?? this.#codeOf(info);
  }

  #codeOf(info: CloseInfo): number {
    const { error } = this.#lastReset ?? {};
    switch (info.reason) {
      case 'disconnected':
      case 'destroyed':
        if (error === undefined) return 0;
        this.#log(`the session was lost after the end of input: ${error.message}`);
        return 1;
      default:
        if (!this.#isPeersEnd(info)) return 1;
        if (this.#isInputOver) return 0;
        this.#log('the session ended before standard input did');
        return 1;
    }
  }

  #counted({ writes, bytes }: Count): string {
    const unit = this.#settings.lines ? 'line' : 'chunk';
    return `${writes} ${unit}${writes === 1 ? '' : 's'} (${bytes} bytes)`;
  }

  #log(text: string): void {
    process.stderr.write(`${this.#connection.tag}: ${text}\n`);
  }
}

/** @throws UsageError */
function connectionOf({ target, options }: Settings, shouldRetry: () => boolean): ReconnectingConnection {
  try {
    return new ReconnectingConnection(target, {
      ...options,
      queue: { maxBytes: QUEUE },
      // The timers of the command bound the end: by the peer's silence, not by the length of its answer.
      closeTimeout: LONGEST_DELAY,
      shouldRetry,
    });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // The library's messages name its options, which are those of the command here.
    const message = error.message
      .replace(/option `(?:tls\.)?(\w+)`/, '--$1')
      .replace(/got a value of type \w+$/, 'got something else');
    throw new UsageError(/\bgot\b/.test(message) ? message : `${message}; got ${JSON.stringify(target)}`);
  }
}

/** Whether standard input is a device such as /dev/null, and no terminal. */
function isDevice(): boolean {
  return !process.stdin.isTTY && fstatSync(0).isCharacterDevice();
}

/** Ends the process as the signal would have done, so that a shell and a service manager see that. */
export function endBy(signal: NodeJS.Signals): never {
  process.removeAllListeners(signal);
  if (process.platform !== 'win32') process.kill(process.pid, signal);
  process.exit(128 + constants.signals[signal]);
}
