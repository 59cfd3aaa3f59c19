import { type DropInfo, type ReconnectingConnection, ConnectionError } from 'reconnecting-connection';

import type { Call } from './plan';
import type { Link } from './link';
import { HELLO } from './peer';

/** A write of the application's and what became of it. */
interface Entry {
  readonly id: number;
  readonly bytes: Buffer;
  /** Whether it has a callback. */
  readonly told: boolean;
  readonly at: number;
  /** The session it was written in, and whether that session's `open` had been told to all. */
  readonly session: Link | undefined;
  readonly late: boolean;
  accepted: boolean;
  answers: number;
  link: Link | undefined;
  dropped: boolean;
}

/** Digits of a write's number, with which its bytes begin. */
const DIGITS = 4;

/**
 * Every write and its fate, compared with what the library says of it: in callbacks, in `drop`, in its figures, and by
 * what it hands to a link.
 */
export class Ledger {
  readonly #connection: ReconnectingConnection;
  readonly #now: () => number;
  readonly #maxAge: number;
  readonly #fail: (rule: string, message: string) => void;
  readonly #entries: Entry[] = [];
  /** Accepted, not handed over, not dropped; those without bytes have no name and are only counted. */
  readonly #waiting = new Set<Entry>();
  readonly #greeted = new WeakSet<Link>();
  readonly #latest = new WeakMap<Link, Entry>();
  readonly #count = { accepted: 0, bytes: 0, refused: 0, dropped: 0, droppedBytes: 0 };
  readonly #answers = { confirmed: 0, uncertain: 0, dropped: 0 };

  constructor(
    connection: ReconnectingConnection,
    now: () => number,
    maxAge: number,
    fail: (rule: string, message: string) => void,
  ) {
    this.#connection = connection;
    this.#now = now;
    this.#maxAge = maxAge;
    this.#fail = fail;
  }

  /** How many writes were made. */
  get size(): number {
    return this.#entries.length;
  }

  /** Makes a write. `answered` runs in its callback. Returns what `write()` returned. */
  write({ size, as, told }: Extract<Call, { do: 'write' }>, answered: () => void): boolean {
    const connection = this.#connection;
    const session = sessionOf(connection);
    const entry: Entry = {
      id: this.#entries.length,
      bytes: contentOf(this.#entries.length, size),
      told,
      at: this.#now(),
      session,
      late: session !== undefined && this.#greeted.has(session),
      accepted: false,
      answers: 0,
      link: undefined,
      dropped: false,
    };
    this.#entries.push(entry);
    if (size > 0) this.#waiting.add(entry);
    const chunk = as === 'buffer' ? entry.bytes : entry.bytes.toString(as === 'hex' ? 'hex' : 'latin1');
    const callback = (error?: Error | null) => {
      this.#settle(entry, error);
      answered();
    };
    const room =
      as === 'hex'
        ? connection.write(chunk, 'hex', told ? callback : undefined)
        : told
          ? connection.write(chunk, callback)
          : connection.write(chunk);
    // What listeners wrote meanwhile has been counted by now.
    entry.accepted = connection.stats.writes.accepted.writes > this.#count.accepted;
    if (entry.accepted) {
      this.#count.accepted += 1;
      this.#count.bytes += size;
    } else {
      this.#count.refused += 1;
      this.#waiting.delete(entry);
      if (room) this.#fail('refusal', `write ${entry.id} returned true and was not accepted`);
      if (entry.link !== undefined) this.#fail('refusal', `write ${entry.id} was handed over and not accepted`);
    }
    return room;
  }

  /** The library hands bytes to a link. */
  onHanded(link: Link, chunk: Buffer): void {
    if (chunk.length === 0 || (link.writes === 1 && chunk.equals(HELLO))) return;
    const entry = this.#find(chunk);
    if (entry?.bytes.equals(chunk) !== true) {
      return this.#fail('torn write', `link ${link.number} was handed what nobody wrote: ${chunk.toString('latin1')}`);
    }
    if (entry.link !== undefined) this.#fail('at most once', `write ${entry.id} was handed over twice`);
    if (entry.dropped) this.#fail('fate', `write ${entry.id} was dropped and then sent`);
    if (entry.answers > 0) this.#fail('fate', `write ${entry.id} was settled and then sent`);
    const before = this.#latest.get(link);
    if (before !== undefined && !isBefore(before, entry, link)) {
      this.#fail('order', `link ${link.number} was handed write ${before.id} ahead of write ${entry.id}`);
    }
    entry.link = link;
    this.#latest.set(link, entry);
    this.#waiting.delete(entry);
  }

  /** All have heard of the session on `link`: from now on what is written comes after what waited. */
  onGreeted(link: Link): void {
    this.#greeted.add(link);
  }

  onDrop({ chunk, bytes, reason, error }: DropInfo): void {
    const entry = chunk.length === 0 ? undefined : this.#find(chunk);
    if (chunk.length !== bytes) this.#fail('drop', `a drop of ${chunk.length} bytes says ${bytes}`);
    const expected = {
      expired: 'ERR_EXPIRED',
      disconnected: 'ERR_CLOSED',
      destroyed: 'ERR_CLOSED',
      aborted: 'ERR_ABORTED',
    };
    const code = reason in expected ? expected[reason as keyof typeof expected] : 'ERR_GAVE_UP';
    if (reason === 'refused') {
      if (entry !== undefined && (entry.told || entry.accepted)) {
        this.#fail('drop', `write ${entry.id} has a callback, or was accepted, and is said to be refused`);
      }
      return;
    }
    if (error.code !== code) this.#fail('drop', `a drop as ${reason} has ${error.code}`);
    this.#count.dropped += 1;
    this.#count.droppedBytes += bytes;
    if (entry === undefined) return;
    if (entry.link !== undefined) this.#fail('drop', `write ${entry.id} was handed over and then dropped`);
    if (entry.dropped) this.#fail('drop', `write ${entry.id} was dropped twice`);
    entry.dropped = true;
    this.#waiting.delete(entry);
  }

  /** Holds at every instant. */
  check(): void {
    const { accepted, confirmed, uncertain, dropped, queued } = this.#connection.stats.writes;
    for (const unit of ['writes', 'bytes'] as const) {
      const sum = confirmed[unit] + uncertain[unit] + dropped[unit] + queued[unit];
      if (accepted[unit] !== sum) this.#fail('accounting', `${accepted[unit]} ${unit} accepted, ${sum} accounted for`);
    }
    if (queued.bytes !== this.#connection.pendingBytes) this.#fail('accounting', 'pendingBytes is not queued.bytes');
  }

  /** Holds when nothing is left to do: no write waits that should have gone before one which went, or could go. */
  checkQuiet(): void {
    const { accepted } = this.#connection.stats.writes;
    if (accepted.writes !== this.#count.accepted || accepted.bytes !== this.#count.bytes) {
      this.#fail('accounting', `${this.#count.accepted} writes were accepted, the figures say ${accepted.writes}`);
    }
    const link = sessionOf(this.#connection);
    if (link === undefined || this.#waiting.size === 0 || !this.#greeted.has(link)) return;
    const latest = this.#latest.get(link);
    for (const entry of this.#waiting) {
      if (link.writable) this.#fail('flush', `write ${entry.id} waits although link ${link.number} is writable`);
      if (latest !== undefined && isBefore(entry, latest, link)) {
        this.#fail('order', `write ${entry.id} waits, and write ${latest.id} went`);
      }
    }
  }

  /** Holds when the lifecycle is over. */
  checkClosed(): void {
    const { confirmed, uncertain, dropped, queued, refused } = this.#connection.stats.writes;
    for (const { id, told, answers } of this.#entries) {
      if (told && answers !== 1) this.#fail('callback', `the callback of write ${id} was called ${answers} times`);
    }
    if (queued.writes !== 0 || queued.bytes !== 0)
      this.#fail('accounting', `${queued.writes} writes wait after the end`);
    if (dropped.writes !== this.#count.dropped || dropped.bytes !== this.#count.droppedBytes) {
      this.#fail('drop', `${this.#count.dropped} drops were told of, the figures say ${dropped.writes}`);
    }
    if (refused.writes !== this.#count.refused) this.#fail('refusal', `${this.#count.refused} refused, not counted so`);
    const untold = { confirmed: confirmed.writes, uncertain: uncertain.writes, dropped: dropped.writes };
    for (const fate of ['confirmed', 'uncertain', 'dropped'] as const) {
      untold[fate] -= this.#answers[fate];
      if (untold[fate] < 0) this.#fail('callback', `more callbacks say ${fate} than the figures`);
    }
    const silent = this.#entries.filter(({ told, accepted }) => accepted && !told).length;
    if (untold.confirmed + untold.uncertain + untold.dropped !== silent) {
      this.#fail('callback', 'the callbacks and the figures do not add up');
    }
  }

  #settle(entry: Entry, error?: Error | null): void {
    const { id, link } = entry;
    entry.answers += 1;
    if (entry.answers > 1) this.#fail('callback', `the callback of write ${id} was called again`);
    const code = error instanceof ConnectionError ? error.code : error?.message;
    const wasHanded = link !== undefined || entry.bytes.length === 0;
    switch (code) {
      case undefined:
        this.#answers.confirmed += 1;
        if (!entry.accepted || !wasHanded) this.#fail('callback', `write ${id} is confirmed and was not sent`);
        return;
      case 'ERR_DELIVERY_UNCERTAIN':
        this.#answers.uncertain += 1;
        if (!entry.accepted || !wasHanded) this.#fail('callback', `write ${id} is uncertain and was not sent`);
        return;
      case 'ERR_QUEUE_FULL':
        if (entry.accepted) this.#fail('callback', `write ${id} was accepted, and its callback says it was refused`);
        return;
      case 'ERR_EXPIRED':
        if (this.#now() - entry.at < this.#maxAge - 1) this.#fail('callback', `write ${id} expired too early`);
        break;
      case 'ERR_CLOSED':
        if (!entry.accepted) return;
        break;
      case 'ERR_GAVE_UP':
      case 'ERR_ABORTED':
        break;
      default:
        return this.#fail('callback', `write ${id} was told ${code}`);
    }
    this.#answers.dropped += 1;
    if (link !== undefined) this.#fail('callback', `write ${id} was sent, and is said to be dropped (${code})`);
  }

  #find(chunk: Buffer): Entry | undefined {
    return this.#entries[parseInt(chunk.toString('latin1', 0, DIGITS), 36)];
  }
}

/** The link of the session, if there is one. */
export function sessionOf(connection: ReconnectingConnection): Link | undefined {
  // `as`: every link is one that the simulated network has made.
  return connection.socket as unknown as Link | undefined;
}

/** The order on a link: what its `open` listeners wrote, what waited, what was written later; each as it was written. */
function isBefore(one: Entry, other: Entry, link: Link): boolean {
  const rank = ({ session, late }: Entry) => (session !== link ? 1 : late ? 2 : 0);
  return rank(one) < rank(other) || (rank(one) === rank(other) && one.id < other.id);
}

/** Bytes that tell which write they are of, from end to end. */
function contentOf(id: number, size: number): Buffer {
  if (size === 0) return Buffer.alloc(0);
  const name = id.toString(36).padStart(DIGITS, '0');
  return Buffer.from(name.repeat(Math.ceil(size / DIGITS)).slice(0, size), 'latin1');
}
