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
import { Input } from './input';
import { Output } from './output';

/** How long a signal lets what was read go out, in milliseconds. */
const GRACE = 2_000;
/** How much later than its session, in milliseconds, an input may end that has ended in fact: `echo` is still exiting. */
const LATE_END = 250;
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
  /** Whether the input has ended, so that no further session is wanted. */
  #isFinishing = false;
  #lastReset: ResetInfo | undefined;
  #signal: NodeJS.Signals | undefined;

  /** @throws UsageError */
  constructor(settings: Settings) {
    const { hello, lines, once } = settings;
    const connection = connectionOf(settings, () => !once && !this.#isFinishing);
    this.#settings = settings;
    this.#connection = connection;
    // Before the input goes on.
    if (hello.length > 0) connection.on('open', () => connection.write(hello));
    connection.on('reset', (info) => (this.#lastReset = info));
    this.#input = new Input(connection, process.stdin, lines);
    this.#output = new Output(connection, process.stdout, { lines, log: (text) => this.#log(text) });
  }

  async run(): Promise<Outcome> {
    // A log that fails is no reason to stop.
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
    void this.#input.finished.then(() => this.#onInputFinished());
    const info = await new Promise<CloseInfo>((resolve) => this.#connection.on('close', resolve));
    if (this.#isPeersEnd(info)) await this.#input.end(LATE_END);
    this.#input.stop();
    await this.#input.finished;
    await this.#output.flush();
    return this.#outcome(info);
  }

  /** The input has ended, and all of it was sent, or is lost. */
  #onInputFinished(): void {
    const connection = this.#connection;
    if (this.#signal !== undefined || connection.state === 'closed') return;
    this.#isFinishing = true;
    const { wait, shutdown, quiet } = this.#settings;
    const silence = setTimeout(() => {
      // While standard output is full, it is not the peer that is silent.
      if (this.#output.isFull) silence.refresh();
      else if (connection.state === 'open') {
        silence.refresh();
        void connection.disconnect();
      } else {
        if (!quiet) this.#log(`nothing has come for ${wait} ms since the end of input`);
        connection.destroy();
      }
    }, wait);
    connection.on('data', () => silence.refresh());
    // Without a session there is nothing to wait for.
    if (shutdown || connection.state !== 'open') void connection.disconnect();
  }

  #onSignal(signal: NodeJS.Signals): void {
    if (this.#signal !== undefined) endBy(signal);
    this.#signal = signal;
    this.#input.stop();
    void this.#connection.disconnect();
    setTimeout(() => {
      if (this.#output.isFull) this.#log('standard output did not take all that had arrived');
      this.#output.close();
      this.#connection.destroy();
    }, GRACE);
  }

  /** Whether the peer has ended the last session in good order. */
  #isPeersEnd({ reason }: CloseInfo): boolean {
    return reason === 'not-retryable' && this.#lastReset?.reason === 'peer-end' && this.#lastReset.error === undefined;
  }

  #outcome(info: CloseInfo): Outcome {
    const output = this.#output.error;
    if (output?.code === 'EPIPE') return 128 + constants.signals.SIGPIPE;
    const { lost, uncertain, error } = this.#input;
    const amountOf = ({ lines, bytes }: { readonly lines: number; readonly bytes: number }) =>
      this.#settings.lines ? `${lines} line${lines === 1 ? '' : 's'} (${bytes} bytes)` : `${bytes} bytes`;
    const unsent = [
      ...(lost.bytes > 0 ? [`${amountOf(lost)} not sent`] : []),
      ...(uncertain.bytes > 0 ? [`${amountOf(uncertain)} may be lost`] : []),
    ];
    if (error !== undefined) this.#log(`standard input failed: ${error.message}`);
    if (unsent.length > 0) this.#log(`of standard input, ${unsent.join(', ')}`);
    if (unsent.length > 0 || error !== undefined) return 3;
    if (output !== undefined) return this.#failed(`standard output failed: ${output.message}`);
    return this.#signal ?? this.#codeOf(info);
  }

  #codeOf(info: CloseInfo): number {
    const { error } = this.#lastReset ?? {};
    if (info.reason === 'disconnected' || info.reason === 'destroyed') {
      return error === undefined ? 0 : this.#failed(`the session was lost after the end of input: ${error.message}`);
    }
    if (!this.#isPeersEnd(info)) return 1;
    return this.#input.isOver ? 0 : this.#failed('the session ended before standard input did');
  }

  #failed(why: string): number {
    this.#log(why);
    return 1;
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
      // More than is read at once: what was read when a session ends, or a signal comes, waits there.
      queue: { maxBytes: 4 * 1024 * 1024 },
      // The timers of the command bound the end: by the peer's silence, not by the length of its answer.
      closeTimeout: LONGEST_DELAY,
      shouldRetry,
    });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // The library's messages name its options, which are those of the command here.
    const message = error.message
      .replace(/: (?:`handshake` is for those|options are the second argument)$/, '')
      .replace(/option `(?:tls\.)?(\w+)`/, '--$1')
      .replace(/got a value of type \w+$/, 'got something else');
    throw new UsageError(message);
  }
}

/** Ends the process as the signal would have done, so that a shell and a service manager see that. */
export function endBy(signal: NodeJS.Signals): never {
  process.removeAllListeners(signal);
  if (process.platform !== 'win32') process.kill(process.pid, signal);
  process.exit(128 + constants.signals[signal]);
}
