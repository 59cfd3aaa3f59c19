import { type DropInfo, type ReconnectingConnection, ConnectionError } from 'reconnecting-connection';

import type { Clock } from './clock';
import { type Entry, chunkOf, contentOf, isBefore, numberOf, optionsOf } from './entry';
import type { Link } from './link';
import { HELLO } from './peer';
import type { Call, Setup } from './plan';

/**
 * Every write and its fate, compared with what the library says of it: in callbacks, in `drop`, in its figures, and by
 * what it hands to a link.
 */
export class Ledger {
  readonly #connection: ReconnectingConnection;
  readonly #clock: Clock;
  readonly #maxAge: number;
  readonly #overflow: Setup['overflow'];
  readonly #fail: (rule: string, message: string) => void;
  readonly #entries: Entry[] = [];
  /** Accepted, not handed over, not dropped; those without bytes have no name and are only counted. */
  readonly #waiting = new Set<Entry>();
  readonly #greeted = new WeakSet<Link>();
  /** Sessions that have taken the place of another, and were not told of yet. */
  readonly #turning = new WeakSet<Link>();
  /** Writes of which a link has been handed some chunks and not all. */
  readonly #begun = new Map<Link, { readonly entry: Entry; handed: number }>();
  readonly #count = { accepted: 0, bytes: 0, refused: 0, dropped: 0, droppedBytes: 0, cleared: 0, clearedBytes: 0 };
  readonly #answers = { confirmed: 0, uncertain: 0, dropped: 0 };

  constructor(
    connection: ReconnectingConnection,
    clock: Clock,
    { maxAge, overflow }: Pick<Setup, 'maxAge' | 'overflow'>,
    fail: (rule: string, message: string) => void,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#maxAge = maxAge;
    this.#overflow = overflow;
    this.#fail = fail;
  }

  /** How many writes were made. */
  get size(): number {
    return this.#entries.length;
  }

  /** Makes a write. `answered` runs in its callback. Returns what `write()` returned. */
  write(call: Extract<Call, { do: 'write' }>, answered: () => void): boolean {
    const connection = this.#connection;
    const { size, as, told, will } = call;
    const present = sessionOf(connection);
    const session = present !== undefined && this.#turning.has(present) ? undefined : present;
    const id = this.#entries.length;
    const entry: Entry = {
      id,
      bytes: contentOf(id, size),
      told,
      at: this.#clock.now,
      session,
      late: session !== undefined && this.#greeted.has(session),
      parts: call.parts,
      maxAge: will?.maxAge,
      key: will?.key,
      controller: will?.abortAfter === undefined ? undefined : new AbortController(),
      urgent: will?.urgent === true,
      place: id,
      accepted: false,
      answers: 0,
      link: undefined,
      dropped: false,
      cleared: false,
      overtaken: undefined,
    };
    this.#entries.push(entry);
    if (size > 0) this.#waiting.add(entry);
    this.#abortLater(entry, will?.abortAfter);
    const callback = (error?: Error | null) => {
      this.#settle(entry, error);
      answered();
    };
    const how = optionsOf(call, entry.controller) ?? (as === 'hex' ? 'hex' : undefined);
    const room = connection.write(chunkOf(entry.bytes, call), how, told ? callback : undefined);
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
    const begun = this.#begun.get(link);
    if (begun !== undefined) return this.#onPart(link, begun, chunk);
    const entry = this.#entries[numberOf(chunk)];
    const isPart = chunk.length < (entry?.bytes.length ?? 0);
    if (entry === undefined || !chunk.equals(entry.bytes.subarray(0, chunk.length)) || (isPart && entry.parts === 1)) {
      return this.#fail('torn write', `link ${link.number} was handed what nobody wrote: ${chunk.toString('latin1')}`);
    }
    if (isPart) this.#begun.set(link, { entry, handed: chunk.length });
    if (entry.link !== undefined) this.#fail('at most once', `write ${entry.id} was handed over twice`);
    if (entry.dropped) this.#fail('fate', `write ${entry.id} was dropped and then sent`);
    if (entry.answers > 0) this.#fail('fate', `write ${entry.id} was settled and then sent`);
    if (entry.cleared) this.#fail('fate', `write ${entry.id} was cleared and then sent`);
    const age = this.#clock.now - entry.at;
    // One that is written to an open session goes at once.
    if (entry.maxAge !== undefined && age > entry.maxAge + 1) this.#fail('fate', `write ${entry.id} is ${age} ms old`);
    if (entry.controller?.signal.aborted === true) this.#fail('fate', `write ${entry.id} was aborted and then sent`);
    if (entry.overtaken !== undefined) {
      this.#fail('order', `link ${link.number} was handed write ${entry.overtaken.id} ahead of write ${entry.id}`);
    }
    for (const other of this.#waiting) {
      if (other !== entry && isBefore(other, entry, link)) other.overtaken ??= entry;
    }
    entry.link = link;
    this.#waiting.delete(entry);
  }

  /** Chunks of one write follow each other. */
  #onPart(link: Link, begun: { readonly entry: Entry; handed: number }, chunk: Buffer): void {
    const { entry, handed } = begun;
    begun.handed += chunk.length;
    if (!chunk.equals(entry.bytes.subarray(handed, begun.handed))) {
      this.#fail('torn write', `link ${link.number} was handed something else in the middle of write ${entry.id}`);
    }
    if (begun.handed >= entry.bytes.length) this.#begun.delete(link);
  }

  /** The end of the session before is told of, or (false) the session itself: what is written until then waits. */
  onTurning(link: Link, isTurning: boolean): void {
    if (isTurning) this.#turning.add(link);
    else this.#turning.delete(link);
  }

  /** All have heard of the session on `link`: from now on what is written comes after what waited. */
  onGreeted(link: Link): void {
    this.#greeted.add(link);
  }

  onDrop({ chunk, bytes, reason, error }: DropInfo): void {
    const entry = chunk.length === 0 ? undefined : this.#entries[numberOf(chunk)];
    if (chunk.length !== bytes) this.#fail('drop', `a drop of ${chunk.length} bytes says ${bytes}`);
    const expected = {
      expired: 'ERR_EXPIRED',
      disconnected: 'ERR_CLOSED',
      destroyed: 'ERR_CLOSED',
      aborted: 'ERR_ABORTED',
      replaced: 'ERR_REPLACED',
      cleared: 'ERR_CLEARED',
      overflow: 'ERR_QUEUE_FULL',
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
    if (reason === 'cleared') {
      this.#count.cleared -= 1;
      this.#count.clearedBytes -= bytes;
    }
    if (entry === undefined) return;
    if (entry.link !== undefined) this.#fail('drop', `write ${entry.id} was handed over and then dropped`);
    if (entry.dropped) this.#fail('drop', `write ${entry.id} was dropped twice`);
    entry.dropped = true;
    this.#waiting.delete(entry);
    if (reason === 'replaced') this.#onReplaced(entry);
    if (reason === 'overflow' && this.#overflow === 'refuse')
      this.#fail('drop', `write ${entry.id} gave way to others`);
  }

  /** `clearQueue()` is called. */
  clear(): void {
    const waiting = [...this.#waiting].filter(({ accepted }) => accepted);
    const { writes, bytes } = this.#connection.clearQueue();
    for (const entry of waiting) entry.cleared = entry.link === undefined;
    this.#count.cleared += writes;
    this.#count.clearedBytes += bytes;
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
    for (const [{ destroyed }, { entry }] of this.#begun) {
      if (!destroyed) this.#fail('torn write', `only a part of write ${entry.id} was handed over`);
    }
    this.#begun.clear();
    const { accepted } = this.#connection.stats.writes;
    if (accepted.writes !== this.#count.accepted || accepted.bytes !== this.#count.bytes) {
      this.#fail('accounting', `${this.#count.accepted} writes were accepted, the figures say ${accepted.writes}`);
    }
    const { cleared, clearedBytes } = this.#count;
    if (cleared !== 0 || clearedBytes !== 0) this.#fail('clear', `${cleared} more writes were cleared than dropped`);
    const link = sessionOf(this.#connection);
    if (link === undefined || this.#waiting.size === 0 || !this.#greeted.has(link)) return;
    for (const entry of this.#waiting) {
      if (entry.cleared) this.#fail('clear', `write ${entry.id} waits, and was cleared`);
      if (link.writable) this.#fail('flush', `write ${entry.id} waits although link ${link.number} is writable`);
      if (entry.overtaken?.link === link) {
        this.#fail('order', `write ${entry.id} waits, and write ${entry.overtaken.id} went`);
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
        if (!entry.accepted) return;
        if (this.#overflow === 'refuse') {
          this.#fail('callback', `write ${id} was accepted, and its callback says it was refused`);
        }
        break;
      case 'ERR_EXPIRED':
        if (this.#clock.now - entry.at < (entry.maxAge ?? this.#maxAge) - 1) {
          this.#fail('callback', `write ${id} expired too early`);
        }
        break;
      case 'ERR_REPLACED':
        if (entry.key === undefined) this.#fail('callback', `write ${id} has no key, and was replaced`);
        break;
      case 'ERR_CLEARED':
        break;
      case 'ERR_CLOSED':
        if (!entry.accepted) return;
        break;
      case 'ERR_ABORTED':
        if (!entry.accepted && entry.controller?.signal.aborted === true) return;
        break;
      case 'ERR_GAVE_UP':
        break;
      default:
        return this.#fail('callback', `write ${id} was told ${code}`);
    }
    this.#answers.dropped += 1;
    if (link !== undefined) this.#fail('callback', `write ${id} was sent, and is said to be dropped (${code})`);
  }

  #abortLater({ controller }: Entry, abortAfter = 0): void {
    if (controller === undefined) return;
    if (abortAfter === 0) controller.abort();
    else this.#clock.after(abortAfter, () => this.#clock.arrive(() => controller.abort()));
  }

  /** The newest write of its key takes its place, unless that went to the session at once. */
  #onReplaced(older: Entry): void {
    // The next one: that may have been replaced too, before this was told. Of the last it is not known yet whether it is accepted.
    const last = this.#entries.at(-1);
    const newer = this.#entries.find(
      (each) => each.id > older.id && each.key === older.key && (each.accepted || each === last),
    );
    if (newer === undefined) return this.#fail('drop', `write ${older.id} was replaced by none`);
    newer.urgent ||= older.urgent;
    if (newer.urgent === older.urgent) newer.place = older.place;
  }
}

/** The link of the session, if there is one. */
export function sessionOf(connection: ReconnectingConnection): Link | undefined {
  // `as`: every link is one that the simulated network has made.
  return connection.socket as unknown as Link | undefined;
}
