import type { DropInfo, ReconnectingConnection, ResetInfo, WriteTotals } from 'reconnecting-connection';

import { frame } from '../conformance/frames';
import { type Arrivals, ASK, HELLO } from './stream-peer';

/** What became of a frame. */
type Fate = 'offered' | 'refused' | 'queued' | 'confirmed' | 'uncertain' | 'dropped';

/** A frame that was written. */
interface Entry {
  readonly number: number;
  readonly bytes: number;
  readonly hasCallback: boolean;
  fate: Fate;
  /** Whether `drop` told that it was refused. */
  isRefusalTold: boolean;
  /** What its callback was told, each time it was called. */
  readonly told: Fate[];
}

/** Fates by the code of what a callback gets. Whether ERR_CLOSED means dropped or refused, `write()` has said. */
const FATES: Readonly<Record<string, readonly Fate[]>> = {
  ERR_DELIVERY_UNCERTAIN: ['uncertain'],
  ERR_EXPIRED: ['dropped'],
  ERR_QUEUE_FULL: ['refused'],
  ERR_CLOSED: ['dropped', 'refused'],
};

/**
 * Every frame that the client writes, and its fate. Which frames were handed to which session follows from the counts
 * that the library gives, and from the order that it promises; what arrived, and what callbacks say, is held against it.
 */
export class Ledger {
  readonly counts = { written: 0, accepted: 0, refused: 0, confirmed: 0, uncertain: 0, dropped: 0, callbacks: 0 };
  /** How often the sum of all fates was looked at. */
  samples = 0;

  readonly #connection: ReconnectingConnection;
  readonly #fail: (problem: string) => void;
  readonly #entries = new Map<number, Entry>();
  /** Accepted and not handed to a session yet, in their order. */
  readonly #line: Entry[] = [];
  /** Written by `open` listeners, and so handed to the session before those in the line. */
  #greeting: Entry[] = [];
  #isGreeting = false;
  readonly #handed = new Map<number, readonly Entry[]>();
  #atOpen: WriteTotals;

  /**
   * To be made before anything else listens.
   *
   * @param greet - what the application writes when a session opens, after the hello
   */
  constructor(connection: ReconnectingConnection, greet: () => void, fail: (problem: string) => void) {
    this.#connection = connection;
    this.#fail = fail;
    this.#atOpen = connection.stats.writes;
    connection.on('open', ({ generation }) => {
      this.#atOpen = connection.stats.writes;
      this.#isGreeting = true;
      this.#write(HELLO + generation, 16, true);
      greet();
      this.#isGreeting = false;
    });
    connection.on('reset', (info) => this.#onReset(info));
    connection.on('drop', (info) => this.#onDrop(info));
    for (const event of ['state', 'open', 'data', 'message', 'reset', 'backoff', 'drain', 'drop', 'close'] as const) {
      connection.on(event, () => this.sample());
    }
  }

  /** Writes the next frame. Returns what `write()` returned. */
  write(bytes: number, hasCallback: boolean): boolean {
    return this.#write(this.counts.written + 1, bytes, hasCallback);
  }

  /** Writes a frame that the other end answers. Returns its number. */
  ask(): number {
    const number = ASK + this.counts.written + 1;
    this.#write(number, 16, true);
    return number;
  }

  /** What the callback of a frame was told. */
  told(number: number): Fate | undefined {
    return this.#entries.get(number)?.told[0];
  }

  /** The sum of all fates is the number of writes that were accepted, at every instant. */
  sample(): WriteTotals {
    const { writes } = this.#connection.stats;
    const { accepted, confirmed, uncertain, dropped, queued } = writes;
    for (const unit of ['writes', 'bytes'] as const) {
      const sum = confirmed[unit] + uncertain[unit] + dropped[unit] + queued[unit];
      if (accepted[unit] !== sum) this.#fail(`${accepted[unit]} ${unit} were accepted, and ${sum} have a fate`);
    }
    this.samples += 1;
    return writes;
  }

  #write(number: number, bytes: number, hasCallback: boolean): boolean {
    const entry: Entry = { number, bytes, hasCallback, fate: 'offered', isRefusalTold: false, told: [] };
    this.#entries.set(number, entry);
    this.counts.written += 1;
    const before = this.sample();
    // A socket that is broken already takes nothing: then a greeting waits like any other write.
    const overtakes = this.#isGreeting && this.#connection.socket?.writable === true;
    const room = hasCallback
      ? this.#connection.write(frame(number, bytes), (error) => this.#onAnswer(entry, error))
      : this.#connection.write(frame(number, bytes));
    const after = this.sample();
    const accepted = after.accepted.writes - before.accepted.writes;
    const refused = after.refused.writes - before.refused.writes;
    if (accepted + refused !== 1) this.#fail(`a write was accepted ${accepted} times and refused ${refused} times`);
    if (accepted === 1) {
      entry.fate = 'queued';
      this.counts.accepted += 1;
      (overtakes ? this.#greeting : this.#line).push(entry);
    } else {
      entry.fate = 'refused';
      this.counts.refused += 1;
      if (room) this.#fail(`frame ${number} was refused, and write() returned true`);
      // Nothing follows `close`: there is its `false`, and that is all.
      if (hasCallback || this.#connection.state === 'closed') entry.isRefusalTold = true;
    }
    return room;
  }

  #onAnswer(entry: Entry, error: Error | null | undefined): void {
    const { number, told } = entry;
    this.counts.callbacks += 1;
    // `as`: errors have a code, unless the library is wrong.
    const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
    const fates = error === null || error === undefined ? ['confirmed' as const] : FATES[code ?? ''];
    if (fates === undefined) this.#fail(`the callback of frame ${number} got ${String(error)}`);
    else told.push(fates.length > 1 && entry.fate === 'refused' ? 'refused' : fates[0]!);
    if (told.length > 1) this.#fail(`the callback of frame ${number} was called ${told.length} times: ${told.join()}`);
  }

  #onReset({ generation, uncertain }: ResetInfo): void {
    const { writes } = this.#connection.stats;
    const confirmed = {
      writes: writes.confirmed.writes - this.#atOpen.confirmed.writes,
      bytes: writes.confirmed.bytes - this.#atOpen.confirmed.bytes,
    };
    const greeting = this.#greeting;
    this.#greeting = [];
    const count = confirmed.writes + uncertain.writes;
    if (count < greeting.length) this.#fail(`session ${generation} knows nothing of ${greeting.length - count} writes`);
    const handed = [...greeting, ...this.#line.splice(0, Math.max(0, count - greeting.length))];
    this.#handed.set(generation, handed);
    this.#decide(handed.slice(0, confirmed.writes), 'confirmed', confirmed.bytes);
    this.#decide(handed.slice(confirmed.writes), 'uncertain', uncertain.bytes);
  }

  /** Gives a fate to frames whose bytes must add up to what the library says. */
  #decide(entries: readonly Entry[], fate: 'confirmed' | 'uncertain', bytes: number): void {
    const sum = entries.reduce((total, entry) => total + entry.bytes, 0);
    if (sum !== bytes) this.#fail(`${bytes} bytes are said to be ${fate}, but those frames have ${sum}`);
    for (const entry of entries) entry.fate = fate;
    this.counts[fate] += entries.length;
  }

  #onDrop({ chunk, bytes, reason }: DropInfo): void {
    const number = chunk.readUInt32BE(4);
    const entry = this.#entries.get(number);
    if (entry?.bytes !== bytes) return this.#fail(`frame ${number} of ${bytes} bytes was dropped, and is unknown`);
    if (reason === 'refused') {
      if (entry.isRefusalTold) this.#fail(`drop told that frame ${number} was refused, which was told already`);
      entry.isRefusalTold = true;
      return;
    }
    const place = this.#line.indexOf(entry);
    if (place < 0) return this.#fail(`frame ${number} was dropped when it was ${entry.fate}, and waited no more`);
    this.#line.splice(place, 1);
    entry.fate = 'dropped';
    this.counts.dropped += 1;
  }

  /** What is to be looked at when all is over. */
  check(arrivals: readonly Arrivals[]): void {
    const { queued, accepted, dropped } = this.sample();
    if (queued.writes !== 0 || queued.bytes !== 0) this.#fail(`${queued.writes} writes are queued after the end`);
    if (accepted.writes !== this.counts.accepted) this.#fail(`${accepted.writes} writes are said to be accepted`);
    if (dropped.writes !== this.counts.dropped) this.#fail(`${dropped.writes} writes are said to be dropped`);
    for (const { number, fate, told, hasCallback, isRefusalTold } of this.#entries.values()) {
      if (fate === 'offered' || fate === 'queued') this.#fail(`frame ${number} is ${fate} after the end`);
      if (isRefusalTold !== (fate === 'refused')) this.#fail(`frame ${number} is ${fate}, and drop says otherwise`);
      const expected = hasCallback ? fate : '';
      if (told.join() !== expected) this.#fail(`the callback of frame ${number}, ${fate}, was told [${told.join()}]`);
    }
    const seen = new Map<number, number>();
    for (const arrival of arrivals) this.#checkArrivals(arrival, seen);
  }

  /** The last session ended in good order: all that was handed to it is confirmed, and has arrived. */
  checkLast(generation: number, arrivals: readonly Arrivals[]): void {
    const handed = this.#handed.get(generation) ?? [];
    const arrived = arrivals.find(({ frames }) => frames[0] === HELLO + generation)?.frames ?? [];
    if (arrived.length !== handed.length) {
      this.#fail(`${arrived.length} of ${handed.length} frames arrived in a session that ended in good order`);
    }
    const unconfirmed = handed.filter(({ fate }) => fate !== 'confirmed').length;
    if (unconfirmed > 0) this.#fail(`${unconfirmed} frames are uncertain in a session that ended in good order`);
  }

  /** What arrived over one connection is the beginning of what was handed to one session. */
  #checkArrivals({ connection, frames, torn }: Arrivals, seen: Map<number, number>): void {
    if (torn !== undefined) this.#fail(`connection ${connection} is torn: ${torn}`);
    for (const number of frames) {
      const before = seen.get(number);
      if (before !== undefined) this.#fail(`frame ${number} came over connection ${before} and over ${connection}`);
      seen.set(number, connection);
      const { fate = 'unknown' } = this.#entries.get(number) ?? {};
      if (fate !== 'confirmed' && fate !== 'uncertain') this.#fail(`frame ${number} is ${fate}, and it arrived`);
    }
    const [hello] = frames;
    if (hello === undefined) return;
    const handed = this.#handed.get(hello - HELLO);
    if (handed === undefined)
      return this.#fail(`connection ${connection} begins with frame ${hello}, which is no hello`);
    const wrong = frames.findIndex((number, index) => handed[index]?.number !== number);
    if (wrong < 0) return;
    const expected = handed[wrong]?.number ?? 'no more';
    this.#fail(`frame ${frames[wrong]!} came as number ${wrong} of session ${hello - HELLO}, instead of ${expected}`);
  }
}
