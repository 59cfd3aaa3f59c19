import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';

import { type ConnectionEvents, type StateName, ReconnectingConnection } from 'reconnecting-connection';

import { EVENTS } from '../kit/record';
import type { Fault, State } from './names';
import { Gate } from './gate';
import { PONG } from './peer';
import type { Peer } from './peer';
import { type Place, optionsOf } from './tuning';

/** What a throwing listener throws: it knows whose it is. */
export class Thrown extends Error {
  readonly cell: Cell;

  constructor(cell: Cell) {
    super(`Thrown by a listener of ${cell.name}`);
    this.cell = cell;
  }
}

/** What a cell came to. */
export interface Observation {
  /** The events from the fault on, without `state`. */
  readonly events: readonly string[];
  readonly state: StateName;
  /** What should not be; nothing, if all is well. */
  readonly problems?: readonly string[];
}

/** One connection in one state, and what happened to it since its fault. */
export class Cell {
  readonly state: State;
  readonly fault: Fault;
  readonly place: Place;
  readonly peer: Peer;
  readonly controller = new AbortController();
  /** Holds up the name resolution. */
  readonly resolution = new Gate();
  /** Holds up the handshake hook. */
  readonly hook = new Gate();
  /** Told that the hook is running. */
  readonly hooked = new Gate();
  readonly problems: string[] = [];
  connection!: ReconnectingConnection;
  /** The other end of the connection, once there is one. */
  socket: Socket | undefined;
  /** Exceptions of its listeners that became uncaught ones. */
  thrown = 0;

  #heard: string[] = [];
  /** The names of all events there ever were. */
  #emitted: string[] = [];
  #throwsFrom = Infinity;
  readonly #writes: { calls: number }[] = [];

  constructor(state: State, fault: Fault, place: Place, peer: Peer) {
    this.state = state;
    this.fault = fault;
    this.place = place;
    this.peer = peer;
  }

  get name(): string {
    return `${this.state} × ${this.fault}`;
  }

  /** Whether there are pings under way, whose fate depends on what the line still took. */
  get #pings(): boolean {
    return this.fault === 'stalled link';
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
    hear(
      'reset',
      ({ reason, uncertain }) => `reset ${reason}${uncertain.writes > 0 && !this.#pings ? ', uncertain' : ''}`,
    );
    hear('backoff', ({ reason }) => `backoff ${reason}`);
    hear('drain', () => 'drain');
    hear('drop', ({ reason }) => `drop ${reason}`);
    hear('close', ({ reason }) => `close ${reason}`);
  }

  /** Writes, and sees to it that the callback is called once. */
  write(chunk: string | Uint8Array): void {
    const write = { calls: 0 };
    this.#writes.push(write);
    this.connection.write(chunk, () => void (write.calls += 1));
  }

  /** From here on counts what the fault does. */
  forget(): void {
    this.#heard = [];
  }

  /** Notes something that the test does in between, so that its place among the events can be seen. */
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

  /** What happened, and what is wrong with it. To be called when the connection has ended. */
  observe(events: readonly string[], state: StateName): Observation {
    const { problems } = this;
    const count = (event: string) => this.#emitted.filter((each) => each === event).length;
    const { accepted, confirmed, uncertain, dropped, queued } = this.connection.stats.writes;
    const fates = confirmed.writes + uncertain.writes + dropped.writes;
    if (this.connection.state !== 'closed') problems.push(`it ended as ${this.connection.state}`);
    if (this.#emitted.at(-1) !== 'close') problems.push(`its last event was ${this.#emitted.at(-1)}`);
    if (count('open') !== count('reset')) problems.push(`${count('open')} open, ${count('reset')} reset`);
    if (accepted.writes !== fates || queued.writes !== 0) problems.push('the writes do not add up');
    if (this.#writes.some(({ calls }) => calls !== 1)) problems.push('a callback was not called once');
    const due = Math.max(0, this.#emitted.length - this.#throwsFrom);
    if (this.thrown !== due) problems.push(`${due} listeners threw, ${this.thrown} uncaught exceptions`);
    if (getEventListeners(this.controller.signal, 'abort').length > 0) problems.push('the signal has a listener');
    if (this.connection.socket !== undefined) problems.push('it has a socket');
    return { events, state, ...(problems.length > 0 && { problems }) };
  }

  #hear(event: string): void {
    const last = this.#heard.at(-1);
    if (event === `data ${PONG}`) return;
    // Whether the kernel repeats a dial before the new server listens is up to the machine.
    const isEither = this.state === 'tcp' && this.fault === 'server restarted';
    if (isEither && event === 'backoff error') return;
    // How bytes are parted on their way is not what this is about.
    if (event.startsWith('data ') && last?.startsWith('data ') === true) {
      this.#heard[this.#heard.length - 1] = last + event.slice('data '.length);
    } else {
      this.#heard.push(event);
    }
  }
}
