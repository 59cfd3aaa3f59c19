import { Duplex } from 'node:stream';

import type { ResolvedTarget } from 'reconnecting-connection';

import { isError } from '../errors';
import { type Chunk, type Played, checkChunk, cut, refusal } from './script';
import { Waiting, type WaitOptions, nextTurn } from './until';

/** The stream that a connection has in place of a socket. It behaves as a socket without a network does. */
export class ScriptedLink extends Duplex {
  connecting = true;
  readonly encrypted: boolean;
  readonly authorized: boolean;
  readonly #onWrite: (chunk: Buffer, taken: () => void) => void;
  readonly #onEnd: () => void;
  #isFinished = false;

  /**
   * @param onWrite - Called with each chunk that the connection sends, and a function that confirms it.
   * @param onEnd - Called when the connection has ended its side.
   */
  constructor(secure: boolean, onWrite: (chunk: Buffer, taken: () => void) => void, onEnd: () => void) {
    super({ allowHalfOpen: false });
    this.encrypted = this.authorized = secure;
    this.#onWrite = onWrite;
    this.#onEnd = onEnd;
  }

  /** The dial succeeds. */
  open(): void {
    if (!this.connecting || this.destroyed) return;
    this.connecting = false;
    this.emit('connect');
  }

  /** The peer sends. */
  deliver(chunk: Chunk): void {
    if (!this.destroyed && !this.#isFinished) this.push(Buffer.from(chunk));
  }

  /** The peer ends its side. */
  finish(): void {
    if (this.destroyed || this.#isFinished) return;
    this.#isFinished = true;
    this.push(null);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    // deliver() pushes.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#onWrite(chunk, callback);
  }

  override _final(callback: () => void): void {
    this.#onEnd();
    callback();
  }
}

/** The other end of one attempt of a `ScriptedDial`. */
export class ScriptedPeer {
  /** Number of the attempt, 1 for the first of this dial. */
  readonly number: number;
  /** What was dialled. */
  readonly target: ResolvedTarget;
  readonly #link: ScriptedLink;
  readonly #waiting = new Waiting();
  readonly #received: Buffer[] = [];
  #untaken: (() => void)[] = [];
  #isMuted = false;
  /** Whether the connection has ended its side. */
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(number: number, target: ResolvedTarget) {
    this.number = number;
    this.target = target;
    this.#link = new ScriptedLink(
      target.tls !== undefined,
      (chunk, taken) => this.#onWrite(chunk, taken),
      () => this.#onEnd(),
    );
    this.#link.on('close', () => {
      clearTimeout(this.#timer);
      this.#waiting.changed();
    });
  }

  /** @internal The connection's end. */
  get link(): Duplex {
    return this.#link;
  }

  /** Whether the dial has succeeded and the link is not closed. */
  get isOpen(): boolean {
    return !this.#link.connecting && !this.#link.destroyed;
  }

  /** What the connection has sent. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Lets a dial that hangs succeed. */
  open(): void {
    this.#link.open();
    this.#waiting.changed();
  }

  /** Refuses a dial that hangs: ECONNREFUSED. */
  refuse(): void {
    if (this.#link.connecting) this.fail(refusal());
  }

  /** @throws ConnectionError `ERR_INVALID_OPTION` unless `chunk` is a string or bytes */
  send(chunk: Chunk): void {
    this.#link.deliver(checkChunk(chunk, 'the chunk'));
  }

  /** Ends the link (FIN). */
  drop(): void {
    this.#link.finish();
  }

  /** Cuts the link: ECONNRESET. */
  reset(): void {
    this.fail(cut());
  }

  /** Breaks the link, or the dial, with this error. */
  fail(error: Error): void {
    this.#link.destroy(error);
  }

  /** Stops confirming what the connection writes, and answering its end. */
  mute(): void {
    this.#isMuted = true;
  }

  /** Confirms what came while it was muted, and continues. */
  unmute(): void {
    this.#isMuted = false;
    const untaken = this.#untaken;
    this.#untaken = [];
    for (const taken of untaken) taken();
    if (this.#isEnded) this.drop();
  }

  /**
   * Waits until the connection has sent `text`, alone or among other bytes.
   *
   * @returns rejects with an Error that shows what was received if the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  receives(text: string, options: WaitOptions = {}): Promise<void> {
    const what = () => `the peer receives ${JSON.stringify(text)}; it has ${JSON.stringify(String(this.received))}`;
    return this.#waiting.until(() => this.received.includes(text), options, what);
  }

  /** Waits until the link is closed. Options and errors as with {@link ScriptedPeer.receives}. */
  closed(options: WaitOptions = {}): Promise<void> {
    const what = () => `the link of attempt ${this.number} is closed`;
    return this.#waiting.until(() => this.#link.closed, options, what);
  }

  /** @internal Does what the script says. */
  play(attempt: Played): void {
    if (attempt === 'hang') return;
    // Asynchronously, as a network answers.
    nextTurn(() => {
      if (isError(attempt)) return this.fail(attempt);
      this.open();
      for (const chunk of attempt.chunks) this.send(chunk);
      const { end, after } = attempt;
      if (end === 'stay') return;
      const finish = () => (end === 'drop' ? this.drop() : this.fail(end));
      if (after === 0) nextTurn(finish);
      else this.#timer = setTimeout(finish, after);
    });
  }

  #onWrite(chunk: Buffer, taken: () => void): void {
    // A copy: the connection may use its memory again.
    this.#received.push(Buffer.from(chunk));
    if (this.#isMuted) this.#untaken.push(taken);
    else taken();
    this.#waiting.changed();
  }

  /** Answers an end with an end, as servers do. */
  #onEnd(): void {
    this.#isEnded = true;
    if (!this.#isMuted) this.drop();
  }
}
