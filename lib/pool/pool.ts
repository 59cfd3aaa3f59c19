import { DeliveryQueue } from '../events/delivery-queue';
import { checkObject, checkRecord, readProperties } from '../options/checks';
import { type ConnectionHost, type Observer, ReconnectingConnection } from '../connection';
import { Emitter } from '../events/emitter';
import { ConnectionError } from '../errors';
import type { ConnectionEvents, StateName } from '../events/events';
import { type PoolEvents, forward } from './event-forwarder';
import type { ConnectionOptions } from '../options/options';
import { SharedGate } from './shared-gate';
import { type OwnOptions, type PoolOptions, type PoolStats, type SelectMember, ownChecks } from './options';
import { checkOptions } from '../options/settings';
import { selector } from './selection';
import { type WriteCallback, checkCallback, toBytes } from '../writes/write';

export type { PoolEvents } from './event-forwarder';
export type { PoolOptions, PoolStats, SelectMember } from './options';

/**
 * Connections kept together. Members may share a target, and the trouble of one never touches another. A member that
 * closes leaves the pool after its `close`; one that is then started again returns.
 *
 * It is an `EventEmitter` of {@link PoolEvents}: every event of a member, with the member's tag and the member itself as
 * two arguments more.
 *
 * @typeParam Message - What the members' `decoder` puts out.
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
  /** Members and those that closed by themselves, which are members again when they are restarted. */
  readonly #known = new WeakSet<ReconnectingConnection<Message>>();
  /** Members that were removed, and then restarted by the application: rare, and created only when there is one. */
  #strangers: WeakSet<ReconnectingConnection<Message>> | undefined;
  /** The open members, until one of them changes its state. */
  #open: readonly ReconnectingConnection<Message>[] | undefined;
  /** Whether a write was refused since a member was last open. */
  #wantsRoom = false;
  #disconnecting: Promise<void> | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(options: PoolOptions<Message> = {}) {
    super();
    checkObject(options, 'the options');
    // Own properties only: what was put on `Object.prototype` is no option.
    const given = readProperties(options, '');
    const isOwn = ([name]: [string, unknown]) => Object.hasOwn(ownChecks, name);
    const own = checkRecord<OwnOptions<Message>>('', Object.fromEntries(given.filter(isOwn)), ownChecks);
    this.#defaults = checkOptions(Object.fromEntries(given.filter((each) => !isOwn(each))));
    this.#gate = new SharedGate(own.maxConnecting ?? Infinity, own.canary ?? true);
    // `as`: the members are those that `add` has created.
    const observe: Observer = (member, event, args) =>
      this.#observe(member as ReconnectingConnection<Message>, event, args);
    this.#host = { gate: this.#gate, observe };
    // `as`: a named selector returns one of the candidates it is handed, and these are members.
    const chosen = own.select ?? 'round-robin';
    this.#select = typeof chosen === 'function' ? chosen : (selector(chosen) as SelectMember<Message>);
  }

  /** The members, in the order in which they joined. */
  get connections(): ReconnectingConnection<Message>[] {
    return [...this.#members];
  }

  /** How many members there are. */
  get size(): number {
    return this.#members.size;
  }

  /** The pool in figures. */
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
   * Makes a member, which dials as soon as `maxConnecting` and what the others know of its endpoint allow. Of many that
   * join at once, 20 go ahead in a millisecond.
   *
   * @param options - Its own; what they leave open, the pool's defaults fill.
   * @throws ConnectionError `ERR_INVALID_OPTION`; `ERR_CLOSED` while the pool is disconnecting
   */
  add(options: ConnectionOptions): ReconnectingConnection<Message> {
    if (this.#disconnecting !== undefined) {
      throw new ConnectionError('ERR_CLOSED', 'The pool is disconnecting: it takes no member until that is done');
    }
    // Checked first, so that an option which is there but undefined leaves the default in place.
    const member = new ReconnectingConnection<Message>({ ...this.#defaults, ...checkOptions(options) }, this.#host);
    this.#known.add(member);
    this.#members.add(member);
    return member;
  }

  /** Disconnects a member, or all that have a tag, and forgets them. Resolves at once where there is none. */
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
   * An open member, as `select` chooses; undefined when none is open. With `'round-robin'`, each call is a turn.
   *
   * @param key - For `'rendezvous'` and functions: equal keys go to the same member for as long as it is open.
   *
   * @example
   * ```ts
   * pool.pick()?.write('PING\r\n', (error) => console.log(error?.message ?? 'sent'));
   * ```
   */
  pick(key?: string): ReconnectingConnection<Message> | undefined {
    const chosen = this.#choose((this.#open ??= this.connections.filter(isOpen)), key);
    if (chosen === undefined || isOpen(chosen)) return chosen;
    // It changed its state within an event that is still being delivered, so the list does not know yet.
    return this.#choose(this.connections.filter(isOpen), key);
  }

  /**
   * Writes to `pick()`. When no member is open the write is refused: it returns false, the callback is told
   * `ERR_NO_OPEN_MEMBER`, and `drain` comes with the first member that opens. A pool keeps no writes of its own.
   *
   * @param chunk - A string is encoded now; bytes must stay as they are until the callback.
   * @param encoding - Of a string. Default: `'utf8'`.
   * @param callback - Called once: without an error when the kernel took the chunk, else with the reason why not.
   * @returns false when the writer should wait for `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK`, for what is neither a string nor bytes, and for an unknown encoding
   */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  /** The same, with `'utf8'` as the encoding of a string. */
  write(chunk: string | Uint8Array, callback?: WriteCallback): boolean;
  write(chunk: string | Uint8Array, encoding?: BufferEncoding | WriteCallback, callback?: WriteCallback): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    const member = this.pick();
    if (member !== undefined) return member.write(chunk, encoding, callback);
    toBytes(chunk, encoding);
    checkCallback(callback);
    this.#wantsRoom = true;
    const error = new ConnectionError('ERR_NO_OPEN_MEMBER', `No member of the pool is open (${this.#census()})`);
    if (callback !== undefined) process.nextTick(callback, error);
    return false;
  }

  /**
   * Writes to every open member.
   *
   * @returns how many that were
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  broadcast(chunk: string | Uint8Array, encoding?: BufferEncoding): number {
    const bytes = toBytes(chunk, encoding);
    const open = this.connections.filter(isOpen);
    for (const member of open) member.write(bytes);
    return open.length;
  }

  /** Disconnects and forgets all members. Members can be added again when that is done. Calls share one promise. */
  disconnect(): Promise<void> {
    this.#disconnecting ??= this.#disconnectAll(this.connections).finally(() => {
      this.#disconnecting = undefined;
    });
    return this.#disconnecting;
  }

  /** Destroys and forgets all members. */
  destroy(): void {
    for (const member of this.connections) {
      member.destroy();
      // Not before its last events are told, which may have to wait for one that is being delivered.
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
    // One that was started again, in a listener of its `close`, is a member again.
    for (const member of members) if (member.state === 'closed') this.#forget(member);
  }

  #choose(open: readonly ReconnectingConnection<Message>[], key?: string): ReconnectingConnection<Message> | undefined {
    const chosen = open.length === 0 ? undefined : this.#select(open, key);
    return chosen !== undefined && this.#members.has(chosen) ? chosen : undefined;
  }

  /** Gets every event of a member after the member's own listeners. */
  #observe(member: ReconnectingConnection<Message>, event: keyof ConnectionEvents, args: readonly unknown[]): void {
    if (event === 'state') this.#onState(member, args);
    if (this.#strangers?.has(member) === true) return;
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
    else (this.#strangers ??= new WeakSet()).add(member);
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
