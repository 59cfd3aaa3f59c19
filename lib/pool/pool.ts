import { type ConnectionHost, ReconnectingConnection, machineOf } from '../connection';
import { ConnectionError, beginAt, fromCaller } from '../errors';
import { DeliveryQueue } from '../events/delivery-queue';
import { Emitter, onListenerAdded } from '../events/emitter';
import type { ConnectionEvents } from '../events/events';
import type { CommonOptions, MemberOptions } from '../options/options';
import { type CheckedOptions, type ResolvedOptions, resolveOptions } from '../options/settings';
import { checkArguments } from '../options/url';
import type { WriteChunk, WriteOptions } from '../options/write-options';
import { toBytes, toWrite } from '../writes/chunk';
import type { WriteCallback } from '../writes/write';
import { type PoolEvents, forward } from './event-forwarder';
import { type PoolOptions, type PoolStats, checkPoolOptions } from './options';
import { DialSlot } from './dial-slot';
import { memberError } from './member-error';
import { type PoolWhenOpenOptions, PoolOpenWaiters } from './open-waiters';
import { Picker } from './picker';
import { Retirements } from './retirements';
import { SharedGate } from './shared-gate';

export type { PoolEvents } from './event-forwarder';
export type { PoolWhenOpenOptions } from './open-waiters';
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
  readonly #defaults: CheckedOptions;
  readonly #gate: SharedGate;
  readonly #members = new Set<ReconnectingConnection<Message>>();
  readonly #delivery = new DeliveryQueue<PoolEvents<Message>>(this);
  /** What each member is created with. */
  readonly #host: ConnectionHost;
  /** Members, and former members that closed by themselves and join again when they are restarted. */
  readonly #known = new WeakSet<ReconnectingConnection<Message>>();
  readonly #picker: Picker<Message>;
  /** Members that are forgotten as soon as they have closed. */
  readonly #removed = new WeakSet<ReconnectingConnection<Message>>();
  /** Created by the first `retire()`. */
  #retirements: Retirements<Message> | undefined;
  /** Created by the first `whenOpen()`. */
  #waiters: PoolOpenWaiters | undefined;
  /** Whether `write()` returned false, and `drain` is still to be emitted. */
  #wantsRoom = false;
  #disconnecting: Promise<void> | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(options: PoolOptions<Message> = {}) {
    super();
    const own = fromCaller(ConnectionPool, () => checkPoolOptions(options));
    this.#defaults = own.defaults;
    this.#gate = new SharedGate(own.maxConnecting, own.coordinateDials, own.hedge);
    this.#host = {
      joinGate: (settings, member) => new DialSlot(this.#gate, settings, member),
      observe: (member, event, args) => this.#observe(member, event, args),
      // `as`: the pool has every event of a member.
      hears: (event) => this.listenerCount(event as keyof ConnectionEvents) > 0,
    };
    this.#picker = new Picker(this.#members, own.select);
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
   * @param target - Options of the member, or a URL as for `new ReconnectingConnection`. The pool's options are the
   *   defaults, and `tls` is merged over the pool's.
   * @param options - Options beside a URL.
   * @throws ConnectionError `ERR_INVALID_OPTION`, which names the target as it was given; `ERR_CLOSED` while the pool is
   *   disconnecting
   */
  add(target: MemberOptions | string | Pick<URL, 'href'>, options?: CommonOptions): ReconnectingConnection<Message> {
    return fromCaller([this, 'add'], () => {
      if (this.#disconnecting === undefined) return this.#join(this.#resolve(checkArguments(target, options)));
      throw new ConnectionError('ERR_CLOSED', 'The pool is disconnecting: members can be added when that is done');
    });
  }

  /**
   * Disconnects a member, or all members with a tag, and removes them: they are not picked any more from now on. Resolves
   * at once when there is no such member.
   */
  async remove(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    await this.#disconnectAll(this.#membersOf(tagOrConnection));
  }

  /**
   * Replaces a member, or all members with a tag one after another: for a server that says goodbye. A member with the same
   * options, its twin, is opened first. Meanwhile the old one is picked only while no other has room. When the twin is
   * open, or the old one is lost, the old one is not picked any more. It is read until its peer ends the session, but for
   * no longer than its `closeTimeout`, and then disconnected and removed.
   *
   * If the twin closes before it opens, for `maxRetries` say, the old one stays. A member that is not open is removed at
   * once, as by `remove()`, and its twin takes its place. The twin has none of the listeners of the old member: listen to
   * the pool.
   *
   * @returns a promise that resolves when the old members are removed, or stay. It never rejects, and is the same for calls
   *   for one member. Resolves at once when there is no such member.
   *
   * @example
   * ```ts
   * pool.on('data', (chunk, _tag, member) => {
   *   if (String(chunk) === 'GOODBYE') void pool.retire(member);
   * });
   * ```
   */
  retire(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    const retirements = (this.#retirements ??= this.#newRetirements());
    const members = this.#membersOf(tagOrConnection).filter((member) => this.#members.has(member));
    const retired = members.map((member) => {
      this.#picker.retire(member);
      return retirements.retire(member);
    });
    const [first] = retired;
    return retired.length === 1 && first !== undefined ? first : Promise.all(retired).then(() => undefined);
  }

  /**
   * Waits until members are open.
   *
   * @param count - How many of them. Where there are fewer members, it waits for `add()`.
   * @returns a promise that resolves when so many are open, at once where they are. It rejects with `ERR_ABORTED` when
   *   `signal` is aborted, and with `ERR_CLOSED` when the pool is disconnected or destroyed.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   *
   * @example
   * ```ts
   * for (let count = 0; count < 3; count++) pool.add({ port: 6379 });
   * await pool.whenOpen(2, { signal: AbortSignal.timeout(5_000) });
   * ```
   */
  whenOpen(count = 1, options: PoolWhenOpenOptions = {}): Promise<void> {
    const waiters = (this.#waiters ??= new PoolOpenWaiters());
    const opened = fromCaller([this, 'whenOpen'], () => waiters.add(count, options));
    if (this.#disconnecting === undefined) waiters.settle(() => this.#picker.count);
    else waiters.reject(disconnected());
    return opened;
  }

  /** The members with this tag. */
  get(tag: string): ReconnectingConnection<Message>[] {
    return this.connections.filter((member) => member.tag === tag);
  }

  /**
   * The open member that `select` chooses; undefined when none is open. A member without room is chosen only where no other
   * has room, or where it is the one of `key`. With `'round-robin'`, every call moves on to the next member.
   *
   * @param key - For `'rendezvous'` and functions: equal keys get the same member while it is open.
   *
   * @example
   * ```ts
   * pool.pick()?.write('PING\r\n', (error) => console.log(error?.message ?? 'sent'));
   * ```
   */
  pick(key?: string): ReconnectingConnection<Message> | undefined {
    return this.#picker.pick(key);
  }

  /**
   * Writes to the member that `pick()` returns. It returns false when no open member has room for more: the write was taken,
   * or else refused with the error that the callback receives (`ERR_QUEUE_FULL`, or `ERR_NO_OPEN_MEMBER` where no member is
   * open). `drain` is emitted when a member has room again. The pool itself queues nothing.
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
    try {
      return this.#write(chunk, encoding, callback);
    } catch (error) {
      throw beginAt(error, [this, 'write']);
    }
  }

  #write(
    chunk: WriteChunk,
    encoding?: BufferEncoding | WriteOptions | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const member = this.pick();
    if (member !== undefined) {
      // One without room was the only choice: its drain counts, whatever the room of others.
      const isOnlyChoice = this.#picker.isFull(member);
      // `as`: the member takes a callback there too. It checks and encodes, once.
      if (member.write(chunk, encoding as BufferEncoding | undefined, callback)) return true;
      const hasRoom = !isOnlyChoice && this.#picker.withRoom() !== undefined;
      if (!hasRoom) this.#wantsRoom = true;
      return hasRoom;
    }
    const write = toWrite(chunk, encoding, callback);
    this.#wantsRoom = true;
    if (write.callback !== undefined) {
      const message = `No member of the pool is open (${this.#census()})`;
      process.nextTick(write.callback, new ConnectionError('ERR_NO_OPEN_MEMBER', message));
    }
    return false;
  }

  /**
   * Writes to every open member, but not to one that `retire()` has replaced.
   *
   * @returns the number of these members
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  broadcast(chunk: WriteChunk, encoding?: BufferEncoding): number {
    const bytes = fromCaller([this, 'broadcast'], () => toBytes(chunk, encoding));
    const open = this.connections.filter((member) => this.#picker.isOpen(member));
    for (const member of open) member.write(bytes);
    return open.length;
  }

  /** Disconnects and removes all members; members can be added again after that. Calls share one promise. */
  disconnect(): Promise<void> {
    this.#waiters?.reject(disconnected());
    this.#disconnecting ??= this.#disconnectAll(this.connections).finally(() => {
      this.#disconnecting = undefined;
    });
    return this.#disconnecting;
  }

  /** Destroys and removes all members. */
  destroy(): void {
    this.#waiters?.reject(disconnected());
    for (const member of this.connections) {
      this.#removed.add(member);
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

  #membersOf(tagOrConnection: string | ReconnectingConnection<Message>): ReconnectingConnection<Message>[] {
    if (typeof tagOrConnection === 'string') return this.get(tagOrConnection);
    return this.#known.has(tagOrConnection) ? [tagOrConnection] : [];
  }

  /** @internal What members have received while nobody listened is delivered. */
  override [onListenerAdded](event: PropertyKey): void {
    if (event === 'data' || event === 'message') for (const member of this.#members) member[onListenerAdded](event);
  }

  #resolve(options: MemberOptions): ResolvedOptions {
    try {
      return resolveOptions(options, this.#defaults);
    } catch (thrown) {
      throw memberError(options, this.#defaults, thrown);
    }
  }

  #join(resolved: ResolvedOptions): ReconnectingConnection<Message> {
    const member = new ReconnectingConnection<Message>(undefined, { ...this.#host, resolved });
    this.#known.add(member);
    this.#members.add(member);
    return member;
  }

  #newRetirements(): Retirements<Message> {
    return new Retirements<Message>({
      isMember: (member) => this.#members.has(member),
      addTwin: (member) => {
        if (this.#disconnecting !== undefined) return undefined;
        const { settings, target, isRef } = machineOf(member);
        const twin = this.#join({ settings, target });
        if (!isRef) twin.unref();
        if (!settings.autoConnect) twin.connect();
        return twin;
      },
      stay: (member) => this.#picker.forget(member),
      leave: (member) => {
        this.#picker.leave(member);
        this.#announceRoom();
      },
      remove: (member) => this.#disconnectAll([member]),
    });
  }

  async #disconnectAll(members: readonly ReconnectingConnection<Message>[]): Promise<void> {
    for (const member of members) this.#removed.add(member);
    await Promise.all(members.map((member) => member.disconnect()));
    for (const member of members) {
      // One that had closed before emits no `close` any more.
      this.#known.delete(member);
      this.#forget(member);
    }
  }

  /** Called with every event of a member, after the member's own listeners. */
  #observe(member: ReconnectingConnection<Message>, event: keyof ConnectionEvents, args: readonly unknown[]): void {
    if (event === 'data' || event === 'message') this.#picker.received(member);
    else this.#noteChange(member, event, args);
    // One that was removed, and that the application has started again.
    if (!this.#known.has(member)) return;
    forward(this.#delivery, member, event, args);
    if (event === 'close') this.#onClose(member);
  }

  /** What an event changes in the pool, before the pool's listeners hear of it. */
  #noteChange(
    member: ReconnectingConnection<Message>,
    event: keyof ConnectionEvents,
    [, previous]: readonly unknown[],
  ): void {
    if (event === 'state') {
      this.#picker.changed(member);
      if (previous === 'closed' && this.#known.has(member)) this.#members.add(member);
    } else if (event === 'drain') {
      this.#picker.drained(member);
      if (this.#picker.isOpen(member)) this.#wantsRoom = false;
      return;
    } else if (event === 'open') {
      this.#waiters?.settle(() => this.#picker.count);
    } else {
      return;
    }
    this.#retirements?.advance();
    this.#announceRoom();
  }

  #onClose(member: ReconnectingConnection<Message>): void {
    const isRemoved = this.#removed.delete(member);
    if (isRemoved) this.#known.delete(member);
    this.#delivery.enqueue(() => {
      // A listener may have restarted it: it stays a member then, unless it was removed.
      if (isRemoved || member.state === 'closed') this.#forget(member);
    });
  }

  /** Emits the `drain` that is due, where a member has room that does not emit it itself: it has just opened, say. */
  #announceRoom(): void {
    if (!this.#wantsRoom) return;
    // When the events of the member are delivered, and its queue is sent: what a listener writes is no part of its hello.
    queueMicrotask(() => {
      const member = this.#wantsRoom ? this.#picker.withRoom() : undefined;
      if (member === undefined) return;
      this.#wantsRoom = false;
      this.#delivery.deliver('drain', member.tag, member);
    });
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
    this.#members.delete(member);
    this.#picker.forget(member);
  }
}

function disconnected(): ConnectionError {
  return new ConnectionError('ERR_CLOSED', 'The pool is disconnected');
}
