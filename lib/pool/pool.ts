import { type ConnectionHost, ReconnectingConnection } from '../connection';
import { ConnectionError } from '../errors';
import { DeliveryQueue } from '../events/delivery-queue';
import { Emitter } from '../events/emitter';
import type { ConnectionEvents, StateName } from '../events/events';
import { checkObject, checkRecord, readProperties } from '../options/checks';
import type { ConnectionOptions } from '../options/options';
import { checkOptions } from '../options/settings';
import type { WriteChunk, WriteOptions } from '../options/write-options';
import { toBytes, toWrite } from '../writes/chunk';
import type { WriteCallback } from '../writes/write';
import { type PoolEvents, forward } from './event-forwarder';
import { type OwnOptions, type PoolOptions, type PoolStats, type SelectMember, ownChecks } from './options';
import { selector } from './selection';
import { DialSlot } from './dial-slot';
import { SharedGate } from './shared-gate';

export type { PoolEvents } from './event-forwarder';
export type { PoolOptions, PoolStats, SelectMember } from './options';

/**
 * A pool of connections, its members. Members may share a target, and a failing member does not affect the others. A
 * member that closes leaves the pool after its `close`, and joins again when it is restarted.
 *
 * It is an `EventEmitter` of {@link PoolEvents}: every event of a member, followed by the member's tag and the member.
 *
 * @typeParam Message - What the members' `decoder` puts out: the payload of `message`.
 *
 * @example
 * ```ts
 * const pool = new ConnectionPool({ select: 'least-pending', maxConnecting: 8 });
 * pool.on('data', (chunk, tag) => console.log(`${tag}: ${chunk.toString()}`));
 * pool.on('backoff', ({ attempt, delay }, tag) => console.log(`${tag}: retry ${attempt} in ${delay} ms`));
 * const first = pool.add({ port: 6379 });
 * pool.add({ port: 6379 });
 *
 * await first.whenOpen();
 * pool.write('to one of them');
 * await pool.disconnect();
 * ```
 */
export class ConnectionPool<Message = unknown> extends Emitter<PoolEvents<Message>> {
  readonly #defaults: ConnectionOptions;
  readonly #gate: SharedGate;
  readonly #select: SelectMember<Message>;
  readonly #members = new Set<ReconnectingConnection<Message>>();
  readonly #delivery = new DeliveryQueue<PoolEvents<Message>>(this);
  /** What each member is created with. */
  readonly #host: ConnectionHost;
  /** Members, and former members that closed by themselves and join again when they are restarted. */
  readonly #known = new WeakSet<ReconnectingConnection<Message>>();
  /** Members that were removed and later restarted by the application. Rare: created when there is one. */
  #restartedAfterRemoval: WeakSet<ReconnectingConnection<Message>> | undefined;
  /** Cache of the open members, cleared when a member changes its state. */
  #open: readonly ReconnectingConnection<Message>[] | undefined;
  /** Whether `write()` was refused for want of an open member, and `drain` is still to be emitted. */
  #wantsRoom = false;
  #disconnecting: Promise<void> | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(options: PoolOptions<Message> = {}) {
    super();
    checkObject(options, 'the options');
    // Own properties only: properties of `Object.prototype` are not options.
    const given = readProperties(options, '');
    const isOwn = ([name]: [string, unknown]) => Object.hasOwn(ownChecks, name);
    const own = checkRecord<OwnOptions<Message>>('', Object.fromEntries(given.filter(isOwn)), ownChecks);
    this.#defaults = checkOptions(Object.fromEntries(given.filter((each) => !isOwn(each))));
    this.#gate = new SharedGate(own.maxConnecting ?? Infinity, own.coordinateDials ?? true, own.hedge ?? true);
    this.#host = {
      joinGate: (settings, member) => new DialSlot(this.#gate, settings, member),
      observe: (member, event, args) => this.#observe(member, event, args),
    };
    // `as`: a named selector returns one of its candidates, which are members.
    const chosen = own.select ?? 'round-robin';
    this.#select = typeof chosen === 'function' ? chosen : (selector(chosen) as SelectMember<Message>);
  }

  /** The members, in the order in which they joined. */
  get connections(): ReconnectingConnection<Message>[] {
    return [...this.#members];
  }

  /** Number of members. */
  get size(): number {
    return this.#members.size;
  }

  /** Figures of the pool: members by state, queued bytes, endpoints. */
  get stats(): PoolStats {
    const { waiting, endpoints } = this.#gate;
    const stats = { total: this.#members.size, open: 0, connecting: 0, backoff: 0, waiting, queuedBytes: 0, endpoints };
    for (const { state, pendingBytes } of this.#members) {
      if (state === 'open' || state === 'connecting' || state === 'backoff') stats[state] += 1;
      stats.queuedBytes += pendingBytes;
    }
    return stats;
  }

  /**
   * Creates a member. It dials when `maxConnecting` and the connect window of its endpoint allow it. Of many members
   * that are added at once, 20 dial per millisecond.
   *
   * @param options - Options of the member; the pool's options are the defaults.
   * @throws ConnectionError `ERR_INVALID_OPTION`; `ERR_CLOSED` while the pool is disconnecting
   */
  add(options: ConnectionOptions): ReconnectingConnection<Message> {
    if (this.#disconnecting !== undefined) {
      throw new ConnectionError('ERR_CLOSED', 'The pool is disconnecting: members can be added when that is done');
    }
    // `checkOptions` leaves out undefined options, so that these do not replace the defaults.
    const member = new ReconnectingConnection<Message>({ ...this.#defaults, ...checkOptions(options) }, this.#host);
    this.#known.add(member);
    this.#members.add(member);
    return member;
  }

  /**
   * Disconnects a member, or all members with a tag, and removes them. Resolves at once when there is no such member.
   */
  async remove(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    const members =
      typeof tagOrConnection === 'string'
        ? this.get(tagOrConnection)
        : [tagOrConnection].filter((member) => this.#known.has(member));
    await this.#disconnectAll(members);
  }

  /** The members with this tag. */
  get(tag: string): ReconnectingConnection<Message>[] {
    return this.connections.filter((member) => member.tag === tag);
  }

  /**
   * The open member that `select` chooses; undefined when none is open. With `'round-robin'`, every call moves on to
   * the next member.
   *
   * @param key - For `'rendezvous'` and functions: equal keys get the same member while it is open.
   *
   * @example
   * ```ts
   * pool.pick()?.write('PING\r\n', (error) => console.log(error?.message ?? 'sent'));
   * ```
   */
  pick(key?: string): ReconnectingConnection<Message> | undefined {
    const chosen = this.#choose((this.#open ??= this.connections.filter(isOpen)), key);
    if (chosen === undefined || isOpen(chosen)) return chosen;
    // Its `state` event is queued behind one that is being delivered, so the cache is out of date.
    return this.#choose(this.connections.filter(isOpen), key);
  }

  /**
   * Writes to the member that `pick()` returns. When no member is open the write is refused: it returns false, the
   * callback receives `ERR_NO_OPEN_MEMBER`, and `drain` is emitted when a member opens. The pool itself queues nothing.
   *
   * @param chunk - A string is encoded now. Bytes must not be changed before the callback. An array of chunks is one
   *   write.
   * @param encoding - Encoding of strings, by default `'utf8'`, or the options of this write.
   * @param callback - Called once: without an error when the kernel has taken the chunk, otherwise with the error.
   * @returns false when the writer should wait for `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK`, `ERR_INVALID_OPTION`, as the member's `write()`
   */
  write(chunk: WriteChunk, encoding?: BufferEncoding | WriteOptions, callback?: WriteCallback): boolean;
  /** The same; a string is encoded as `'utf8'`. */
  write(chunk: WriteChunk, callback?: WriteCallback): boolean;
  write(
    chunk: WriteChunk,
    encoding?: BufferEncoding | WriteOptions | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const member = this.pick();
    // `as`: the member takes a callback there too. It checks and encodes, once.
    if (member !== undefined) return member.write(chunk, encoding as BufferEncoding | undefined, callback);
    const write = toWrite(chunk, encoding, callback);
    this.#wantsRoom = true;
    if (write.callback !== undefined) {
      const message = `No member of the pool is open (${this.#census()})`;
      process.nextTick(write.callback, new ConnectionError('ERR_NO_OPEN_MEMBER', message));
    }
    return false;
  }

  /**
   * Writes to every open member.
   *
   * @returns the number of these members
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  broadcast(chunk: WriteChunk, encoding?: BufferEncoding): number {
    const bytes = toBytes(chunk, encoding);
    const open = this.connections.filter(isOpen);
    for (const member of open) member.write(bytes);
    return open.length;
  }

  /** Disconnects and removes all members; members can be added again after that. Calls share one promise. */
  disconnect(): Promise<void> {
    this.#disconnecting ??= this.#disconnectAll(this.connections).finally(() => {
      this.#disconnecting = undefined;
    });
    return this.#disconnecting;
  }

  /** Destroys and removes all members. */
  destroy(): void {
    for (const member of this.connections) {
      member.destroy();
      // Removed after its last events, which may be queued behind one that is being delivered.
      void this.#disconnectAll([member]);
    }
  }

  /** `await using`: {@link ConnectionPool.disconnect}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** The members, in the order in which they joined. */
  [Symbol.iterator](): Iterator<ReconnectingConnection<Message>> {
    return this.#members.values();
  }

  /** The pool's {@link ConnectionPool.stats}. */
  toJSON(): PoolStats {
    return this.stats;
  }

  async #disconnectAll(members: readonly ReconnectingConnection<Message>[]): Promise<void> {
    await Promise.all(members.map((member) => member.disconnect()));
    // A listener of its `close` may have restarted it: it stays a member then.
    for (const member of members) if (member.state === 'closed') this.#forget(member);
  }

  #choose(open: readonly ReconnectingConnection<Message>[], key?: string): ReconnectingConnection<Message> | undefined {
    const chosen = open.length === 0 ? undefined : this.#select(open, key);
    return chosen !== undefined && this.#members.has(chosen) ? chosen : undefined;
  }

  /** Called with every event of a member, after the member's own listeners. */
  #observe(member: ReconnectingConnection<Message>, event: keyof ConnectionEvents, args: readonly unknown[]): void {
    if (event === 'state') this.#onState(member, args);
    if (this.#restartedAfterRemoval?.has(member) === true) return;
    forward(this.#delivery, member, event, args);
    if (event === 'open' && this.#wantsRoom) {
      this.#wantsRoom = false;
      this.#delivery.deliver('drain', member.tag, member);
    }
    if (event === 'close') {
      this.#delivery.enqueue(() => {
        // A listener may have restarted it.
        if (member.state === 'closed') this.#members.delete(member);
      });
    }
  }

  #onState(member: ReconnectingConnection<Message>, [, previous]: readonly unknown[]): void {
    this.#open = undefined;
    if (previous !== 'closed') return;
    if (this.#known.has(member)) this.#members.add(member);
    else (this.#restartedAfterRemoval ??= new WeakSet()).add(member);
  }

  /** The members by state, for a message: `1 member, in backoff` or `3 members: 2 in backoff, 1 connecting`. */
  #census(): string {
    const { total, connecting, backoff } = this.stats;
    const members = `${total} ${total === 1 ? 'member' : 'members'}`;
    if (backoff === total && total > 0) return `${members}, in backoff`;
    if (connecting === total && total > 0) return `${members}, connecting`;
    const parts = [backoff > 0 && `${backoff} in backoff`, connecting > 0 && `${connecting} connecting`];
    const listed = parts.filter((part) => part !== false).join(', ');
    return listed === '' ? members : `${members}: ${listed}`;
  }

  #forget(member: ReconnectingConnection<Message>): void {
    if (!this.#known.delete(member)) return;
    this.#members.delete(member);
    this.#open = undefined;
  }
}

function isOpen({ state }: { readonly state: StateName }): boolean {
  return state === 'open';
}
