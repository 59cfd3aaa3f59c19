import type { DropReason } from '../events/events';
import { onAbort } from '../events/on-abort';
import type { Complete } from '../options/checks';
import type { QueueOptions } from '../options/options';
import type { WriteOptions } from '../options/write-options';
import { mostWrites } from './bounds';
import { Expiry } from './expiry';
import { type Conditions, type Write, type WriteCallback, WriteList } from './write';

/** Why the queue itself drops a write. */
export type QueueDropReason = Extract<DropReason, 'expired' | 'aborted' | 'replaced' | 'overflow'>;

/** Called with writes that the queue has dropped, in order. */
export type OnQueueDrop = (writes: readonly Write[], reason: QueueDropReason) => void;

/** Writes that wait for a session: those that are urgent, and behind them the others. */
export class Queue {
  readonly #bounds: Complete<QueueOptions>;
  readonly #onDrop: OnQueueDrop;
  readonly #urgent = new WriteList();
  readonly #normal = new WriteList();
  // Both are made by the first write that needs them.
  #byKey: Map<string, Write> | undefined;
  #expiry: Expiry<Write> | undefined;

  constructor(bounds: Complete<QueueOptions>, onDrop: OnQueueDrop) {
    this.#bounds = bounds;
    this.#onDrop = onDrop;
  }

  get writes(): number {
    return this.#urgent.writes + this.#normal.writes;
  }

  get bytes(): number {
    return this.#urgent.bytes + this.#normal.bytes;
  }

  /** Whether `put()` can take a write of so many bytes: there is room, or room can be made for it. */
  accepts(bytes: number, options: WriteOptions | undefined): boolean {
    const { maxBytes, overflow } = this.#bounds;
    if (maxBytes === 0) return false;
    const older = this.#withKey(options?.key);
    if (this.#hasRoom(bytes, older)) return true;
    if (overflow === 'refuse') return false;
    // An urgent write is dropped for an urgent one only.
    if (isUrgent(options, older)) return bytes <= maxBytes;
    return this.#urgent.bytes + bytes <= maxBytes && this.#urgent.writes < mostWrites(maxBytes);
  }

  /** Adds a write that `accepts()` has accepted, in place of an older one of its key. */
  put(chunk: Buffer, callback: WriteCallback | undefined, options: WriteOptions | undefined): void {
    const older = this.#withKey(options?.key);
    const urgent = isUrgent(options, older);
    if (!this.#hasRoom(chunk.length, older)) this.#makeRoom(chunk.length, older, urgent);
    const conditions = this.#conditionsOf(options, urgent);
    const write: Write = { chunk, callback, conditions, previous: undefined, next: undefined };
    const isInPlace = older !== undefined && urgent === (older.conditions?.isUrgent === true);
    (urgent ? this.#urgent : this.#normal).add(write, isInPlace ? older : undefined);
    if (older !== undefined) this.#drop([older], 'replaced');
    if (conditions !== undefined) this.#watch(write, conditions);
  }

  /** Drops the write of this key: a newer one has gone to the socket. */
  replace(key: string): void {
    const older = this.#withKey(key);
    if (older !== undefined) this.#drop([older], 'replaced');
  }

  /** Takes the first. */
  take(): Write | undefined {
    const write = this.#urgent.first ?? this.#normal.first;
    if (write !== undefined) this.#remove(write);
    return write;
  }

  takeAll(): Write[] {
    const writes: Write[] = [];
    for (let write = this.take(); write !== undefined; write = this.take()) writes.push(write);
    return writes;
  }

  /** Drops the writes that have waited for too long. */
  expire(): void {
    const due = this.#expiry?.takeDue() ?? [];
    if (due.length > 0) this.#drop(due, 'expired');
  }

  #withKey(key: string | undefined): Write | undefined {
    return key === undefined ? undefined : this.#byKey?.get(key);
  }

  /** Whether so many bytes fit, once `older` has left. */
  #hasRoom(bytes: number, older: Write | undefined): boolean {
    const { maxBytes } = this.#bounds;
    if (older === undefined) return this.bytes + bytes <= maxBytes && this.writes < mostWrites(maxBytes);
    return this.bytes - older.chunk.length + bytes <= maxBytes;
  }

  /** Drops what has waited longest, and urgent writes last. */
  #makeRoom(bytes: number, older: Write | undefined, urgent: boolean): void {
    const dropped: Write[] = [];
    for (const list of urgent ? [this.#normal, this.#urgent] : [this.#normal]) {
      for (let write = list.first; write !== undefined && !this.#hasRoom(bytes, older);) {
        const { next } = write;
        if (write !== older) {
          this.#remove(write);
          dropped.push(write);
        }
        write = next;
      }
    }
    this.#onDrop(dropped, 'overflow');
  }

  #conditionsOf(options: WriteOptions | undefined, urgent: boolean): Conditions | undefined {
    const maxAge = options?.maxAge ?? this.#bounds.maxAge;
    const { key, signal } = options ?? {};
    if (maxAge === Infinity && key === undefined && !urgent && signal === undefined) return undefined;
    return { isUrgent: urgent, key, signal, maxAge, expiring: undefined, stopListening: undefined };
  }

  #watch(write: Write, conditions: Conditions): void {
    const { key, maxAge, signal } = conditions;
    if (key !== undefined) (this.#byKey ??= new Map()).set(key, write);
    if (maxAge < Infinity) conditions.expiring = (this.#expiry ??= new Expiry(() => this.expire())).add(write, maxAge);
    if (signal !== undefined) conditions.stopListening = onAbort(signal, () => this.#drop([write], 'aborted'));
  }

  #drop(writes: readonly Write[], reason: QueueDropReason): void {
    for (const write of writes) this.#remove(write);
    this.#onDrop(writes, reason);
  }

  #remove(write: Write): void {
    const { conditions } = write;
    (conditions?.isUrgent === true ? this.#urgent : this.#normal).remove(write);
    if (conditions === undefined) return;
    conditions.stopListening?.();
    if (conditions.key !== undefined) this.#byKey?.delete(conditions.key);
    if (conditions.expiring !== undefined) this.#expiry?.remove(conditions.expiring);
  }
}

function isUrgent(options: WriteOptions | undefined, older: Write | undefined): boolean {
  return options?.priority === 'urgent' || older?.conditions?.isUrgent === true;
}
