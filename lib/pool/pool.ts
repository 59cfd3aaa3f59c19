import type { ReconnectingConnection } from '../connection';
import { ConnectionError, beginAt, fromCaller } from '../errors';
import { DeliveryQueue } from '../events/delivery-queue';
import { Emitter, onListenerAdded } from '../events/emitter';
import type { CommonOptions, MemberOptions } from '../options/options';
import type { CheckedOptions } from '../options/settings';
import { checkArguments } from '../options/url';
import type { WriteChunk, WriteOptions } from '../options/write-options';
import { toBytes, toWrite } from '../writes/chunk';
import type { WriteCallback } from '../writes/write';
import { Sources } from './follow';
import type { FollowOptions, MemberSource } from './follow-options';
import { type PoolEvents, type PoolOptions, type PoolStats, census, checkPoolOptions } from './options';
import { resolveMember } from './member-options';
import { Members } from './members';
import type { PoolWhenOpenOptions } from './open-waiters';
import { SharedGate } from './shared-gate';

export type { FollowOptions, MemberEntry, MemberSource, SourceInfo, SourceStats } from './follow-options';
export type { PoolWhenOpenOptions } from './open-waiters';
export type { PoolEvents, PoolOptions, PoolStats, SelectMember } from './options';

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
  readonly #members: Members<Message>;
  readonly #sources: Sources<Message>;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(options: PoolOptions<Message> = {}) {
    super();
    const own = fromCaller(ConnectionPool, () => checkPoolOptions(options));
    this.#defaults = own.defaults;
    this.#gate = new SharedGate(own.maxConnecting, own.coordinateDials, own.hedge);
    const delivery = new DeliveryQueue<PoolEvents<Message>>(this);
    const members = new Members(this.#gate, own.select, own.ejection, delivery);
    this.#members = members;
    this.#sources = new Sources({ members, defaults: own.defaults, delivery });
  }

  /** The members, in the order in which they joined. */
  get connections(): ReconnectingConnection<Message>[] {
    return [...this.#members.present];
  }

  /** Number of members. */
  get size(): number {
    return this.#members.present.size;
  }

  /** Figures of the pool: members by state, queued bytes, endpoints. */
  get stats(): PoolStats {
    const { waiting, endpoints } = this.#gate;
    const { present, ejection } = this.#members;
    const counts = { total: present.size, open: 0, connecting: 0, backoff: 0, waiting };
    const stats = { ...counts, ejected: ejection?.size ?? 0, queuedBytes: 0, endpoints, sources: this.#sources.stats };
    for (const { state, pendingBytes } of present) {
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
  add(target: MemberOptions | string, options?: CommonOptions): ReconnectingConnection<Message> {
    return fromCaller([this, 'add'], () => {
      this.#refuseWhileDisconnecting();
      return this.#members.join(resolveMember(checkArguments(target, options), this.#defaults));
    });
  }

  /**
   * Disconnects a member, or all members with a tag, and removes them: they are not picked any more from now on. Resolves
   * at once when there is no such member.
   */
  async remove(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    await this.#members.remove(this.#members.find(tagOrConnection));
  }

  /**
   * Replaces a member, or all members with a tag one after another: for a server that says goodbye. A member with the same
   * options, its twin, is opened first. Meanwhile the old one is picked only while no other has room, and afterwards not any
   * more: it is read until its peer ends the session, but for no longer than its `closeTimeout`, and then removed.
   *
   * If the twin closes before it opens, for `maxRetries` say, the old one stays. A member that is not open is removed at
   * once, and its twin takes its place. The twin has none of the listeners of the old member: listen to the pool.
   *
   * @returns a promise that resolves when the old members are removed, or stay, and at once when there is no such member.
   *   It never rejects, and is the same for calls for one member.
   *
   * @example
   * ```ts
   * pool.on('data', (chunk, _tag, member) => {
   *   if (String(chunk) === 'GOODBYE') void pool.retire(member);
   * });
   * ```
   */
  retire(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    const members = this.#members.find(tagOrConnection).filter((member) => this.#members.present.has(member));
    const retired = members.map((member) => {
      this.#members.picker.retire(member);
      return this.#members.retirements.retire(member);
    });
    return retired.length === 1 ? retired[0]! : Promise.all(retired).then(() => undefined);
  }

  /**
   * Keeps members as the newest list of a source says: they join for entries that are new, and leave, as `remove()` does it,
   * when their entries are gone. Each entry has a member of its own. It stays while a list has an equal entry, one with the
   * same target and options, where functions are compared by identity. One that has closed by itself joins again with the
   * next list. Members of `add()` and of other sources are left alone.
   *
   * When the source fails or ends, its members stay, and it is asked for a new iterator, after waits as of the default
   * backoff. A list with a bad entry, or with fewer than `minimum`, is refused, and the one before stays in force. All of
   * this is in the `source` event and in `stats.sources`.
   *
   * @returns a function that stops following. The members stay. `disconnect()` and `destroy()` stop it too.
   * @throws ConnectionError `ERR_INVALID_OPTION`; `ERR_CLOSED` while the pool is disconnecting
   *
   * @example
   * ```ts
   * const pool = new ConnectionPool();
   * // Yours asks where your servers are, and yields again when that changes.
   * async function* servers() {
   *   yield [{ port: 6379 }, { port: 6379 }];
   *   await new Promise(() => {});
   * }
   * pool.on('source', ({ kind, joined, left }) => console.log(`${kind}: ${joined} joined, ${left} left`));
   * const stop = pool.follow({ [Symbol.asyncIterator]: servers });
   * await pool.whenOpen(2);
   * stop();
   * ```
   * ```text
   * list: 2 joined, 0 left
   * ```
   */
  follow(source: MemberSource, options: FollowOptions = {}): () => void {
    return fromCaller([this, 'follow'], () => {
      this.#refuseWhileDisconnecting();
      return this.#sources.follow(source, options);
    });
  }

  #refuseWhileDisconnecting(): void {
    if (this.#members.disconnecting === undefined) return;
    throw new ConnectionError('ERR_CLOSED', 'The pool is disconnecting: members can be added when that is done');
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
    return fromCaller([this, 'whenOpen'], () => this.#members.whenOpen(count, options));
  }

  /** The members with this tag. */
  get(tag: string): ReconnectingConnection<Message>[] {
    return this.#members.find(tag);
  }

  /**
   * The open member that `select` chooses; undefined when none is open. A member without room is chosen only where no other
   * has room, or where it is the one of `key`, and an ejected one only where it is the one of `key` (see the option
   * `ejection`). With `'round-robin'`, every call moves on to the next member.
   *
   * @param key - For `'rendezvous'` and functions: equal keys get the same member while it is open.
   */
  pick(key?: string): ReconnectingConnection<Message> | undefined {
    return this.#members.picker.pick(key);
  }

  /**
   * Writes to the member that `pick()` returns. It returns false when no open member has room for more: the write was taken,
   * or else refused with the error that the callback receives (`ERR_QUEUE_FULL`, or `ERR_NO_OPEN_MEMBER` where no member is
   * open). `drain` is emitted when a member has room again. The pool itself queues nothing.
   *
   * @param chunk - As for the `write()` of a connection.
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
    const { picker } = this.#members;
    try {
      const member = this.pick();
      if (member !== undefined) {
        // One without room was the only choice: its drain counts, whatever the room of others.
        const isOnlyChoice = picker.isFull(member);
        // `as`: the member takes a callback there too. It checks and encodes, once.
        if (member.write(chunk, encoding as BufferEncoding | undefined, callback)) return true;
        const hasRoom = !isOnlyChoice && picker.withRoom() !== undefined;
        if (!hasRoom) this.#members.wantsRoom = true;
        return hasRoom;
      }
      const write = toWrite(chunk, encoding, callback);
      this.#members.wantsRoom = true;
      if (write.callback !== undefined) {
        const message = `No member of the pool is open (${census(this.stats)})`;
        process.nextTick(write.callback, new ConnectionError('ERR_NO_OPEN_MEMBER', message));
      }
      return false;
    } catch (error) {
      throw beginAt(error, [this, 'write']);
    }
  }

  /**
   * Writes to every open member, but not to one that `retire()` has replaced.
   *
   * @returns the number of these members
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  broadcast(chunk: WriteChunk, encoding?: BufferEncoding): number {
    const bytes = fromCaller([this, 'broadcast'], () => toBytes(chunk, encoding));
    const open = this.connections.filter((member) => this.#members.picker.isOpen(member));
    for (const member of open) member.write(bytes);
    return open.length;
  }

  /** Disconnects and removes all members; members can be added again after that. No source is followed any more. Calls share one promise. */
  disconnect(): Promise<void> {
    this.#sources.stop();
    return this.#members.disconnect();
  }

  /** Destroys and removes all members. */
  destroy(): void {
    this.#sources.stop();
    this.#members.destroy();
  }

  /** `await using`: {@link ConnectionPool.disconnect}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** The members, in the order in which they joined. */
  [Symbol.iterator](): Iterator<ReconnectingConnection<Message>> {
    return this.#members.present.values();
  }

  /** The pool's {@link ConnectionPool.stats}. */
  toJSON(): PoolStats {
    return this.stats;
  }

  /** @internal What members have received while there was no listener is delivered. */
  override [onListenerAdded](event: PropertyKey): void {
    if (event === 'data' || event === 'message')
      for (const member of this.#members.present) member[onListenerAdded](event);
  }
}
