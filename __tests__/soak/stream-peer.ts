import { type ChildProcess, fork } from 'node:child_process';

import type { Pair } from '../kit/certificates';
import { kill } from '../kit/clean-up';
import { compiled } from '../kit/compiled';

/** What the other end of a stream is told when it starts. */
export interface StreamWish {
  readonly seed: number;
  readonly tls?: Pair;
}

/** What one connection to the other end brought, in the order in which it came. */
export interface Arrivals {
  readonly connection: number;
  readonly frames: readonly number[];
  /** Why its bytes were no stream of frames. */
  readonly torn?: string;
}

/** Added to the number of a session: its first frame. */
export const HELLO = 0x80000000;
/** Added to the number of a frame that the other end answers at once. */
export const ASK = 0x40000000;
/** Frames of the other end are numbered by connection, and within it from 0. */
export const FRAMES_A_CONNECTION = 0x100000;

export type Request =
  | { readonly id: number; readonly ask: 'hang up'; readonly how: 'end' | 'reset' }
  | { readonly id: number; readonly ask: 'has'; readonly frame: number }
  | { readonly id: number; readonly ask: 'live' | 'arrivals' };

// A union without its `id`, member by member.
type Question<Each = Request> = Each extends Request ? Omit<Each, 'id'> : never;

/** The other end of a stream, in a process of its own: it sends frames, and keeps account of those that come. */
export class StreamPeer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #requests = 0;
  port = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      // `as`: the other process sends nothing else.
      const { id, answer } = message as { readonly id: number; readonly answer: unknown };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  static async start(wish: StreamWish): Promise<StreamPeer> {
    const child = fork(await compiled('soak/stream-peer-process'), [JSON.stringify(wish)], { execArgv: [] });
    const peer = new StreamPeer(child);
    // It answers this without being asked.
    peer.port = Number(await new Promise<unknown>((resolve) => peer.#waiting.set(0, resolve)));
    return peer;
  }

  /** Ends or resets all its connections. */
  async hangUp(how: 'end' | 'reset'): Promise<void> {
    await this.#ask({ ask: 'hang up', how });
  }

  /** Whether a frame has arrived, on whatever connection. */
  async has(frame: number): Promise<boolean> {
    return (await this.#ask({ ask: 'has', frame })) === true;
  }

  /** Connections that are open at its end. */
  async live(): Promise<number> {
    return Number(await this.#ask({ ask: 'live' }));
  }

  async arrivals(): Promise<readonly Arrivals[]> {
    // `as`: that is the answer to this question.
    return (await this.#ask({ ask: 'arrivals' })) as readonly Arrivals[];
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  destroy(): Promise<void> {
    return kill(this.#child);
  }

  #ask(question: Question): Promise<unknown> {
    const id = ++this.#requests;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ ...question, id }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }
}
