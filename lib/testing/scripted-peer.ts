import type { Duplex } from 'node:stream';

import type { ResolvedTarget } from 'reconnecting-connection';

import { type Chunk, type Played, checkChunk, cut, refusal } from './script';
import { nextTurn } from './clock';
import { ScriptedLink } from './scripted-link';
import { Waiting, type WaitOptions } from './until';

/** The other end of one attempt: what a server would see, and may do. Made by a `ScriptedDial`. */
export class ScriptedPeer {
  /** Number of the attempt, 1 for the first that the dial was asked for. */
  readonly number: number;
  /** What was dialled. */
  readonly target: ResolvedTarget;
  readonly #link: ScriptedLink;
  readonly #waiting = new Waiting();
  #received: Buffer[] = [];
  #untaken: (() => void)[] = [];
  #isMuted = false;
  /** Whether the connection has ended its side. */
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(number: number, target: ResolvedTarget) {
    this.number = number;
    this.target = target;
    this.#link = new ScriptedLink(target.tls !== undefined, {
      onWrite: (chunk, taken) => this.#onWrite(chunk, taken),
      onEnd: () => this.#onEnd(),
    });
    this.#link.on('close', () => {
      clearTimeout(this.#timer);
      this.#waiting.changed();
    });
  }

  /** @internal The end that the connection is given. */
  get link(): Duplex {
    return this.#link;
  }

  /** Whether the dial has succeeded and neither end is gone. */
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
    if (this.#link.connecting) this.#link.break(refusal());
  }

  /** @throws ConnectionError `ERR_INVALID_OPTION` for what is neither a string nor bytes */
  send(chunk: Chunk): void {
    this.#link.deliver(checkChunk(chunk, 'the chunk'));
  }

  /** Ends the link in good order (FIN). */
  drop(): void {
    this.#link.finish();
  }

  /** Cuts the link: ECONNRESET. */
  reset(): void {
    this.#link.break(cut());
  }

  /** Breaks the link, or the dial, with an error of yours. */
  fail(error: Error): void {
    this.#link.break(error);
  }

  /** Takes nothing any more: what the connection writes is handed over, and not confirmed. Its end goes unanswered. */
  mute(): void {
    this.#isMuted = true;
  }

  /** Takes what came while it was muted, and goes on. */
  unmute(): void {
    this.#isMuted = false;
    const untaken = this.#untaken;
    this.#untaken = [];
    for (const taken of untaken) taken();
    if (this.#isEnded) this.drop();
  }

  /**
   * Waits until the connection has sent `text`, alone or among other things.
   *
   * @returns rejects with an Error that says what came in its place when it has not by the deadline
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  receives(text: string, options: WaitOptions = {}): Promise<void> {
    return this.#waiting.until(
      () => this.received.includes(text),
      options,
      () => `the peer receives ${JSON.stringify(text)}; it has ${JSON.stringify(this.received.toString())}`,
    );
  }

  /** Waits until the link is gone. Options and errors as with {@link ScriptedPeer.receives}. */
  closed(options: WaitOptions = {}): Promise<void> {
    return this.#waiting.until(
      () => this.#link.closed,
      options,
      () => `the link of attempt ${this.number} is closed`,
    );
  }

  /** @internal Does what the script says. */
  play(attempt: Played): void {
    if (attempt === 'hang') return;
    // In a turn of its own, as an answer of the network comes.
    nextTurn(() => {
      if (attempt instanceof Error || !('chunks' in attempt)) return this.fail(attempt);
      this.open();
      for (const chunk of attempt.chunks) this.send(chunk);
      if (attempt.end === 'stay') return;
      const { end, after } = attempt;
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
