import type { Dial } from 'reconnecting-connection';

import { invalidOption, isArray } from '../errors';
import { type ScriptedAttempt, checkAttempt } from './script';
import { ScriptedPeer } from './scripted-peer';
import { Waiting, type WaitOptions } from './until';

/**
 * A `dial` without a network: a script, or the test as it runs, decides the result of each attempt. Its links behave as
 * sockets do. With `tls` set, they count as encrypted and authorized.
 */
export class ScriptedDial {
  /** The option `dial` of a connection or a pool. */
  readonly dial: Dial;
  readonly #peers: ScriptedPeer[] = [];
  readonly #waiting = new Waiting();
  #script: ScriptedAttempt[] = [];
  #last: ScriptedAttempt = 'open';

  /**
   * @param script - The results of the first attempt, the second, and so on; the last one repeats. Default: all open.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  constructor(script: readonly ScriptedAttempt[] = []) {
    this.follow(script);
    this.dial = (target) => {
      this.#last = this.#script.shift() ?? this.#last;
      const peer = new ScriptedPeer(this.#peers.length + 1, target);
      this.#peers.push(peer);
      peer.play(checkAttempt(this.#last, 'script'));
      this.#waiting.changed();
      return peer.link;
    };
  }

  /** Number of attempts. */
  get attempts(): number {
    return this.#peers.length;
  }

  /** The other ends of all attempts. */
  get peers(): readonly ScriptedPeer[] {
    return [...this.#peers];
  }

  /**
   * Replaces the script, beginning with the next attempt.
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
   * @param number - 1 for the first.
   * @returns rejects with an Error if the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  async attempt(number: number, options: WaitOptions = {}): Promise<ScriptedPeer> {
    if (!Number.isInteger(number) || number < 1) throw invalidOption('`number`', 'an integer ≥ 1', number);
    const what = () => `attempt ${number} is made; there were ${this.attempts}`;
    await this.#waiting.until(() => this.attempts >= number, options, what);
    return this.#peers[number - 1]!;
  }

  /** Resets all open links. Connections may dial again. */
  close(): void {
    for (const peer of this.#peers) peer.reset();
  }

  /** `using`: {@link ScriptedDial.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
