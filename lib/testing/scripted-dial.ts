import type { Dial } from 'reconnecting-connection';

import { invalidOption, isArray } from '../errors';
import { type ScriptedAttempt, checkAttempt } from './script';
import { ScriptedPeer } from './scripted-peer';
import { Waiting, type WaitOptions } from './until';

/**
 * A `dial` without a network: what becomes of each attempt is written down beforehand, or decided by the test as it
 * goes. Its links behave as sockets do. With `tls` set, TLS is taken for done and the certificate for right.
 */
export class ScriptedDial {
  /** To be given to a connection, or a pool, as its `dial`. */
  readonly dial: Dial;
  readonly #peers: ScriptedPeer[] = [];
  readonly #waiting = new Waiting();
  #script: ScriptedAttempt[] = [];
  #last: ScriptedAttempt = 'open';

  /**
   * @param script - What becomes of the first attempt, the second, and so on; the last holds for all that follow.
   *   Default: every attempt opens.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  constructor(script: readonly ScriptedAttempt[] = []) {
    this.follow(script);
    this.dial = (target) => {
      const attempt = (this.#last = this.#script.shift() ?? this.#last);
      const peer = new ScriptedPeer(this.#peers.length + 1, target);
      this.#peers.push(peer);
      peer.play(checkAttempt(attempt, 'script'));
      this.#waiting.changed();
      return peer.link;
    };
  }

  /** How often it was asked for a link. */
  get attempts(): number {
    return this.#peers.length;
  }

  /** The other ends, of all attempts up to now. */
  get peers(): readonly ScriptedPeer[] {
    return [...this.#peers];
  }

  /**
   * Writes the script anew from here: what becomes of the next attempt, of the one after it, and so on.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  follow(script: readonly ScriptedAttempt[]): void {
    if (!isArray(script)) throw invalidOption('`script`', 'an array of attempts', script);
    for (const [index, attempt] of script.entries()) checkAttempt(attempt, `script[${index}]`);
    this.#script = [...script];
  }

  /**
   * Waits for an attempt, and returns its other end.
   *
   * @param number - 1 for the first of this dial.
   * @returns rejects with an Error when there was none by the deadline
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  async attempt(number: number, options: WaitOptions = {}): Promise<ScriptedPeer> {
    if (!Number.isInteger(number) || number < 1) throw invalidOption('`number`', 'an integer ≥ 1', number);
    const what = () => `attempt ${number} is made; there were ${this.attempts}`;
    await this.#waiting.until(() => this.attempts >= number, options, what);
    return this.#peers[number - 1]!;
  }

  /** Resets every link that there still is. Connections are not its own: they may dial again. */
  close(): void {
    for (const peer of this.#peers) peer.reset();
  }

  /** `using`: {@link ScriptedDial.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
