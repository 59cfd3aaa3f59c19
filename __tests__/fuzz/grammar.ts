import type { ReconnectingConnection, StateName } from '../../lib/index';
import { transitions } from '../../lib/lifecycle/states';

/** Hears every event of a connection, and what in their order is not as it is promised. */
export class Grammar {
  readonly violations: string[] = [];
  /** How often each event was heard. */
  readonly counts: Record<string, number> = {};
  /** How many lifecycles have ended. */
  ends = 0;
  #state: StateName;
  #generation: number;
  #isOpen = false;
  #isClosed = false;

  constructor(connection: ReconnectingConnection) {
    this.#state = connection.state;
    this.#generation = connection.generation;
    connection.on('state', (next, previous) => {
      // A new lifecycle begins with its first state.
      if (previous === 'closed') this.#isClosed = false;
      this.#hear('state');
      const ways: readonly string[] = transitions[previous];
      this.#demand(previous === this.#state, `state from ${previous}, which was ${this.#state}`);
      this.#demand(ways.includes(next), `no way from ${previous} to ${next}`);
      this.#state = next;
      if (next === 'closed') this.ends += 1;
    });
    connection.on('open', ({ generation }) => {
      this.#hear('open');
      this.#demand(!this.#isOpen, 'open twice');
      this.#demand(generation > this.#generation, `generation ${generation} after ${this.#generation}`);
      this.#isOpen = true;
      this.#generation = generation;
    });
    for (const event of ['data', 'message'] as const) {
      connection.on(event, () => {
        this.#hear(event);
        this.#demand(this.#isOpen, `${event} without a session`);
      });
    }
    connection.on('reset', ({ generation }) => {
      this.#hear('reset');
      this.#demand(this.#isOpen, 'reset without open');
      this.#demand(generation === this.#generation, `reset of ${generation}, not ${this.#generation}`);
      this.#isOpen = false;
    });
    connection.on('backoff', ({ delay, retryAt }) => {
      this.#hear('backoff');
      this.#demand(!this.#isOpen, 'backoff while a session is open');
      this.#demand(this.#state === 'backoff', `backoff in state ${this.#state}`);
      this.#demand(delay >= 10 && Number.isFinite(retryAt), `backoff with delay ${delay}`);
    });
    for (const event of ['drain', 'drop'] as const) connection.on(event, () => this.#hear(event));
    connection.on('close', () => {
      this.#hear('close');
      this.#demand(!this.#isOpen, 'close before reset');
      this.#demand(this.#state === 'closed', `close in state ${this.#state}`);
      this.#isClosed = true;
    });
  }

  #hear(event: string): void {
    this.counts[event] = (this.counts[event] ?? 0) + 1;
    this.#demand(!this.#isClosed, `${event} after close`);
  }

  #demand(holds: boolean, what: string): void {
    if (!holds) this.violations.push(what);
  }
}
