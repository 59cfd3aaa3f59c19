import { Announcer } from './announcer';
import { type Checks, checkObject, checkRecord, func, integer, oneOf, orInfinity, readProperties } from './check';
import { ReconnectingConnection } from './connection';
import { Emitter } from './emitter';
import { ConnectionError } from './errors';
import type { ConnectionEvents, StateName } from './events';
import { type Gate, limitedGate, openGate, pacedGate } from './gate';
import type { ConnectionOptions } from './options';
import { checkOptions } from './settings';
import { type SelectorName, selector } from './selection';
import { type WriteCallback, checkCallback, toBytes } from './writes';

/**
 * Dials that a pool begins within a millisecond: about as many as one process can make, so that many members that join
 * at once cost no time by it, and yet do not knock in the same instant.
 */
const BURST = 20;

/** The events of a pool: those of its members, each with the member's tag and the member itself appended. */
export type PoolEvents<Message = unknown> = {
  [K in keyof ConnectionEvents<Message>]: (
    ...args: [...Parameters<ConnectionEvents<Message>[K]>, tag: string, connection: ReconnectingConnection<Message>]
  ) => void;
};

/** Chooses among the open members of a pool; there is at least one. */
export type SelectMember<Message = unknown> = (
  open: readonly ReconnectingConnection<Message>[],
  key?: string,
) => ReconnectingConnection<Message> | undefined;

/** Options of a pool: defaults for its members, and its own. */
export interface PoolOptions<Message = unknown> extends ConnectionOptions {
  /** Dials at a time, over all members; the others wait for their turn. Default: Infinity. */
  readonly maxConnecting?: number;
  /** Which open member `pick()` returns. Default: `'round-robin'`. */
  readonly select?: SelectorName | SelectMember<Message>;
}

/** A pool in figures. */
export interface PoolStats {
  readonly total: number;
  readonly open: number;
  readonly connecting: number;
  readonly backoff: number;
  /** Bytes written to members whose fate is open. */
  readonly queuedBytes: number;
}

/**
 * Connections kept together. Members may share a target, and the trouble of one never touches another. A member that
 * closes leaves the pool after its `close`; one that is then started again returns.
 *
 * @typeParam Message - What the members' `decoder` puts out.
 */
export class ConnectionPool<Message = unknown> extends Emitter<PoolEvents<Message>> {
  readonly #defaults: ConnectionOptions;
  readonly #gate: Gate;
  readonly #select: SelectMember<Message>;
  readonly #announcer = new Announcer<PoolEvents<Message>>(this);
  readonly #members = new Set<ReconnectingConnection<Message>>();
  /** What each member's events are forwarded by; a member that closed by itself keeps its own, and so may return. */
  readonly #forwarders = new WeakMap<ReconnectingConnection<Message>, ConnectionEvents<Message>>();
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
    const given = new Map(readProperties(options, ''));
    const [maxConnecting, select] = [given.get('maxConnecting'), given.get('select')];
    given.delete('maxConnecting');
    given.delete('select');
    const defaults = Object.fromEntries(given);
    const own = checkRecord<OwnOptions<Message>>('', { maxConnecting, select }, ownChecks);
    this.#defaults = checkOptions(defaults);
    this.#gate = pacedGate(own.maxConnecting === undefined ? openGate : limitedGate(own.maxConnecting), BURST);
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
    const stats = { total: this.#members.size, open: 0, connecting: 0, backoff: 0, queuedBytes: 0 };
    for (const { state, pendingBytes } of this.#members) {
      if (state === 'open' || state === 'connecting' || state === 'backoff') stats[state] += 1;
      stats.queuedBytes += pendingBytes;
    }
    return stats;
  }

  /**
   * Makes a member, which dials as soon as `maxConnecting` allows. Of many that join at once, 20 dial in a millisecond.
   *
   * @param options - Its own; what they leave open, the pool's defaults fill.
   * @throws ConnectionError `ERR_INVALID_OPTION`; `ERR_CLOSED` while the pool is disconnecting
   */
  add(options: ConnectionOptions): ReconnectingConnection<Message> {
    if (this.#disconnecting !== undefined) {
      throw new ConnectionError('ERR_CLOSED', 'The pool is disconnecting: it takes no member until that is done');
    }
    // Checked first, so that an option which is there but undefined leaves the default in place.
    const member = new ReconnectingConnection<Message>({ ...this.#defaults, ...checkOptions(options) }, this.#gate);
    this.#forward(member);
    this.#members.add(member);
    return member;
  }

  /** Disconnects a member, or all that have a tag, and forgets them. Resolves at once where there is none. */
  async remove(tagOrConnection: string | ReconnectingConnection<Message>): Promise<void> {
    const members =
      typeof tagOrConnection === 'string'
        ? this.get(tagOrConnection)
        : [tagOrConnection].filter((member) => this.#forwarders.has(member));
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
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  write(chunk: string | Uint8Array, callback?: WriteCallback): boolean;
  write(chunk: string | Uint8Array, encoding?: BufferEncoding | WriteCallback, callback?: WriteCallback): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    const bytes = toBytes(chunk, encoding);
    checkCallback(callback);
    const member = this.pick();
    if (member !== undefined) return member.write(bytes, callback);
    const error = new ConnectionError('ERR_NO_OPEN_MEMBER', `None of the ${this.size} members of the pool is open`);
    this.#wantsRoom = true;
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

  #forward(member: ReconnectingConnection<Message>): void {
    const announcer = this.#announcer;
    const forwarders: ConnectionEvents<Message> = {
      open: (info) => {
        announcer.announce('open', info, member.tag, member);
        if (this.#wantsRoom) announcer.announce('drain', member.tag, member);
        this.#wantsRoom = false;
      },
      data: (chunk) => announcer.announce('data', chunk, member.tag, member),
      message: (message) => announcer.announce('message', message, member.tag, member),
      reset: (info) => announcer.announce('reset', info, member.tag, member),
      backoff: (info) => announcer.announce('backoff', info, member.tag, member),
      drain: () => announcer.announce('drain', member.tag, member),
      drop: (info) => announcer.announce('drop', info, member.tag, member),
      state: (next, previous) => {
        if (previous === 'closed') this.#members.add(member);
        this.#open = undefined;
        announcer.announce('state', next, previous, member.tag, member);
      },
      close: (info) => {
        announcer.announce('close', info, member.tag, member);
        announcer.afterwards(() => {
          // It may have been started again by now.
          if (member.state === 'closed') this.#members.delete(member);
        });
      },
    };
    this.#forwarders.set(member, forwarders);
    eachEvent(forwarders, (event, forwarder) => member.on(event, forwarder));
  }

  #forget(member: ReconnectingConnection<Message>): void {
    const forwarders = this.#forwarders.get(member);
    if (forwarders === undefined) return;
    this.#forwarders.delete(member);
    this.#members.delete(member);
    this.#open = undefined;
    eachEvent(forwarders, (event, forwarder) => member.off(event, forwarder));
  }
}

function eachEvent<Message>(
  forwarders: ConnectionEvents<Message>,
  visit: <E extends keyof ConnectionEvents<Message>>(event: E, forwarder: ConnectionEvents<Message>[E]) => void,
): void {
  // `as`: `Object.keys` of an object literal of this type.
  for (const event of Object.keys(forwarders) as (keyof ConnectionEvents<Message>)[]) visit(event, forwarders[event]);
}

function isOpen({ state }: { readonly state: StateName }): boolean {
  return state === 'open';
}

/** Options that are the pool's own. */
type OwnOptions<Message> = Pick<PoolOptions<Message>, 'maxConnecting' | 'select'>;

const ownChecks: Checks<OwnOptions<unknown>> = {
  maxConnecting: orInfinity(integer(1)),
  select: (value, name) => (typeof value === 'function' ? func(value, name) : selectorName(value, name)),
};

const selectorName = oneOf<SelectorName>('round-robin', 'least-pending', 'random-two', 'rendezvous');
