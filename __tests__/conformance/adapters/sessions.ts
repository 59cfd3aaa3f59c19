import { EventEmitter } from 'node:events';

import type { Client } from '../adapter';

/**
 * Events of a library's sockets, told as those of sessions, and the end of its last socket as the end of all: for
 * libraries that tell neither apart.
 */
export abstract class Sessions extends EventEmitter implements Client {
  #open = false;
  #life: 'wanted' | 'leaving' | 'leaving to come back' | 'over' = 'wanted';

  abstract readonly state: string;
  abstract write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean;
  abstract disconnect(): Promise<unknown>;

  /** The library says that it is connected. */
  protected onConnect(): void {
    this.#open = true;
    this.emit('open');
  }

  /** The library says that a socket closed: a session is over where there was one, and all of it after `leave()`. */
  protected onClose(): void {
    const wasOpen = this.#open;
    this.#open = false;
    if (wasOpen) this.emit('reset');
    if (this.#life !== 'leaving' && this.#life !== 'leaving to come back') return;
    this.#life = this.#life === 'leaving' ? 'over' : 'wanted';
    this.emit('close');
  }

  /** The library was told to end. Where it will say no more of sockets, this was the end. */
  protected leave(socketLeft: boolean): void {
    if (this.#life === 'over') return;
    this.#life = 'leaving';
    if (!socketLeft) {
      process.nextTick(() => {
        if (this.#life !== 'over') this.onClose();
      });
    }
  }

  /** The library was told to start again. */
  protected come(): void {
    this.#life = this.#life.startsWith('leaving') ? 'leaving to come back' : 'wanted';
  }
}
