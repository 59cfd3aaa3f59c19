import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';

import { type ConnectionEvents, ReconnectingConnection } from 'reconnecting-connection';
import type { FaultProxy } from 'reconnecting-connection/testing';

import { EVENTS } from '../../kit/record';
import type { DeafServer } from '../cases/deaf';
import { type Peer, PONG } from './peer';
import type { Ground } from './play';
import type { Fault, Outcome, State } from './table';
import { optionsOf } from './tuning';

/** Thrown by a listener that is to throw. */
export class Thrown extends Error {
  readonly cell: Cell;

  constructor(cell: Cell) {
    super(`Thrown by a listener of ${cell.name}`);
    this.cell = cell;
  }
}

/** A promise that is settled from outside, and whose rejection may go unheard. */
export class Gate {
  readonly passed: Promise<void>;
  open!: () => void;
  fail!: (error: Error) => void;

  constructor() {
    this.passed = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
    this.passed.catch(() => undefined);
  }
}

/** What happened to a cell. */
export interface Observation extends Outcome {
  /** What is wrong besides. */
  readonly problems?: readonly string[];
}

/** One connection in one state, with a server of its own, and its events since its fault. */
export class Cell {
  readonly state: State;
  readonly fault: Fault;
  readonly ground: Ground;
  readonly peer: Peer;
  /** A server that neither accepts nor refuses. */
  readonly deaf: DeafServer;
  /** Between the connection and its peer, where the fault is one of the line. */
  readonly proxy: FaultProxy;
  /** What is dialled. */
  readonly target: DeafServer['target'];
  readonly controller = new AbortController();
  /** Holds up the name resolution. */
  readonly resolution = new Gate();
  /** Holds up the handshake hook. */
  readonly hook = new Gate();
  /** Opened when the hook runs. */
  readonly hooked = new Gate();
  readonly problems: string[] = [];
  connection!: ReconnectingConnection;
  /** The other end of the connection, once there is one. */
  socket: Socket | undefined;

  #heard: string[] = [];
  /** The names of all events there ever were. */
  #emitted: string[] = [];
  #throwsFrom = Infinity;
  readonly #writes: { calls: number }[] = [];

  constructor(state: State, fault: Fault, ground: Ground, ends: Pick<Cell, 'peer' | 'deaf' | 'proxy' | 'target'>) {
    this.state = state;
    this.fault = fault;
    this.ground = ground;
    this.peer = ends.peer;
    this.deaf = ends.deaf;
    this.proxy = ends.proxy;
    this.target = ends.target;
  }

  get name(): string {
    return `${this.state} × ${this.fault}`;
  }

  get events(): readonly string[] {
    return this.#heard;
  }

  /** Makes the connection, which dials at once unless the state is to be idle. */
  begin(): void {
    this.connection = new ReconnectingConnection(optionsOf(this));
    for (const event of EVENTS) this.connection.on(event, () => void this.#emitted.push(event));
    const hear = <E extends keyof ConnectionEvents>(
      event: E,
      tell: (...args: Parameters<ConnectionEvents[E]>) => string,
    ) => this.connection.on(event, ((...args: Parameters<ConnectionEvents[E]>) => this.#hear(tell(...args))) as never);
    hear('open', ({ generation }) => `open ${generation}`);
    hear('data', (chunk) => `data ${chunk.toString('latin1')}`);
    hear('reset', ({ reason, uncertain }) => {
      // The fate of pings depends on how much the line still takes.
      const isUncertain = uncertain.writes > 0 && this.fault !== 'stalled link';
      return `reset ${reason}${isUncertain ? ', uncertain' : ''}`;
    });
    hear('backoff', ({ reason }) => `backoff ${reason}`);
    hear('drain', () => 'drain');
    hear('drop', ({ reason }) => `drop ${reason}`);
    hear('close', ({ reason }) => `close ${reason}`);
  }

  /** Writes; `observe` checks that the callback was called once. */
  write(chunk: string | Uint8Array): void {
    const write = { calls: 0 };
    this.#writes.push(write);
    this.connection.write(chunk, () => void (write.calls += 1));
  }

  /** Forgets the events up to now, which are not those of the fault. */
  forget(): void {
    this.#heard = [];
  }

  /** Puts a step of the test among the events. */
  note(what: string): void {
    this.#heard.push(what);
  }

  /** From here on every event has a listener that throws. */
  throwAlways(): void {
    this.#throwsFrom = this.#emitted.length;
    for (const event of EVENTS) {
      this.connection.on(event, () => {
        throw new Thrown(this);
      });
    }
  }

  /**
   * Ends the connection.
   *
   * @param thrown - what became an uncaught exception in this process
   * @returns its events and its state before that, and what is wrong with it afterwards
   */
  async end(thrown: readonly unknown[]): Promise<Observation> {
    const { events, connection, problems } = this;
    const before = { events: [...events], state: connection.state };
    if (before.state !== 'closed') {
      const closed = new Promise((resolve) => connection.once('close', resolve));
      connection.destroy();
      await closed;
    }
    await new Promise(setImmediate);

    const count = (event: string) => this.#emitted.filter((each) => each === event).length;
    const { accepted, confirmed, uncertain, dropped, queued } = this.connection.stats.writes;
    const fates = confirmed.writes + uncertain.writes + dropped.writes;
    if (this.connection.state !== 'closed') problems.push(`it ended as ${this.connection.state}`);
    if (this.#emitted.at(-1) !== 'close') problems.push(`its last event was ${this.#emitted.at(-1)}`);
    if (count('open') !== count('reset')) problems.push(`${count('open')} open, ${count('reset')} reset`);
    if (accepted.writes !== fates || queued.writes !== 0) problems.push('the writes do not add up');
    if (this.#writes.some(({ calls }) => calls !== 1)) problems.push('a callback was not called once');
    const due = Math.max(0, this.#emitted.length - this.#throwsFrom);
    const uncaught = thrown.filter((error) => error instanceof Thrown && error.cell === this).length;
    if (uncaught !== due) problems.push(`${due} listeners threw, ${uncaught} uncaught exceptions`);
    if (getEventListeners(this.controller.signal, 'abort').length > 0) problems.push('the signal has a listener');
    if (this.connection.socket !== undefined) problems.push('it has a socket');
    return { ...before, ...(problems.length > 0 && { problems }) };
  }

  #hear(event: string): void {
    const last = this.#heard.at(-1);
    if (event === `data ${PONG}`) return;
    // Whether the kernel repeats a dial before the new server listens is up to the machine.
    const isEither = this.state === 'tcp' && this.fault === 'server restarted';
    if (isEither && event === 'backoff error') return;
    // The network may split bytes anywhere.
    if (event.startsWith('data ') && last?.startsWith('data ') === true) {
      this.#heard[this.#heard.length - 1] = last + event.slice('data '.length);
    } else {
      this.#heard.push(event);
    }
  }
}
