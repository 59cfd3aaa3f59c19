import { type ConnectionHost, ReconnectingConnection, machineOf } from '../connection';
import { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents } from '../events/events';
import type { ResolvedOptions } from '../options/settings';
import { DialSlot } from './dial-slot';
import { type EjectionHandler, Ejection } from './ejection';
import type { EjectInfo, EjectionSettings, RestoreInfo } from './ejection-policy';
import type { PoolEvents, SelectMember } from './options';
import { type PoolWhenOpenOptions, PoolOpenWaiters } from './open-waiters';
import { Picker } from './picker';
import { type RetirementPool, Retirements } from './retirements';
import type { SelectorName } from './selection';
import type { SharedGate } from './shared-gate';

type Member<Message> = ReconnectingConnection<Message>;

/** The members of a pool: how they join and leave, and what their events change in the pool. */
export class Members<Message> implements RetirementPool<Message>, EjectionHandler<Message> {
  /** In the order in which they joined. */
  readonly present = new Set<Member<Message>>();
  readonly picker: Picker<Message>;
  /** Undefined where the option `ejection` is false. */
  readonly ejection: Ejection<Message> | undefined;
  readonly retirements = new Retirements<Message>(this);
  /** Whether `write()` returned false, and `drain` is still to be emitted. */
  wantsRoom = false;
  /** Undefined unless `disconnect()` is under way. */
  disconnecting: Promise<void> | undefined;
  readonly #waiters = new PoolOpenWaiters();
  readonly #gate: SharedGate;
  readonly #delivery: DeliveryQueue<PoolEvents<Message>>;
  /** What each member is created with. */
  readonly #host: ConnectionHost;
  /** Members, and former members that closed by themselves and join again when they are restarted. */
  readonly #known = new WeakSet<Member<Message>>();
  /** Members that were to be replaced, each with its twin. */
  readonly #twins = new WeakMap<Member<Message>, Member<Message>>();
  /** Members that are forgotten as soon as they have closed. */
  readonly #removed = new WeakSet<Member<Message>>();

  constructor(
    gate: SharedGate,
    select: SelectorName | SelectMember<Message>,
    ejection: EjectionSettings | undefined,
    delivery: DeliveryQueue<PoolEvents<Message>>,
  ) {
    this.ejection = ejection && new Ejection(ejection, this);
    this.picker = new Picker(this.present, select, this.ejection);
    this.#gate = gate;
    this.#delivery = delivery;
    this.#host = {
      joinGate: (settings, member) => new DialSlot(gate, settings, member),
      observer: {
        // `as`: the pool has every event of a member.
        observe: (member, event, args) => this.#observe(member, event as keyof ConnectionEvents, args),
        hasListeners: (event) => delivery.hasListeners(event as keyof ConnectionEvents),
      },
    };
  }

  /** The members with a tag, or the one that is given, if it is a member or joins again when it is restarted. */
  find(tagOrConnection: string | Member<Message>): Member<Message>[] {
    if (typeof tagOrConnection !== 'string') return this.#known.has(tagOrConnection) ? [tagOrConnection] : [];
    return [...this.present].filter((member) => member.tag === tagOrConnection);
  }

  join(resolved: ResolvedOptions): Member<Message> {
    const member = new ReconnectingConnection<Message>(undefined, { ...this.#host, resolved });
    this.#known.add(member);
    this.present.add(member);
    return member;
  }

  takeTurn(tag: string, begin: () => void): () => void {
    return this.#gate.turns.take(tag, begin);
  }

  addTwin(member: Member<Message>): Member<Message> | undefined {
    if (this.disconnecting !== undefined) return undefined;
    const { settings, target, isRef } = machineOf(member);
    const twin = this.join({ settings, target });
    if (!isRef) twin.unref();
    if (!settings.autoConnect) twin.connect();
    this.#twins.set(member, twin);
    return twin;
  }

  /** `member` and the twins that were to replace it, as far as they are members. */
  withTwins(member: Member<Message>): Member<Message>[] {
    const twin = this.#twins.get(member);
    const all = twin === undefined ? [member] : [member, ...this.withTwins(twin)];
    return all.filter((each) => this.present.has(each));
  }

  /** `member`, or the twin that has replaced it; undefined where it has closed. */
  successor(member: Member<Message> | undefined): Member<Message> | undefined {
    const all = member === undefined ? [] : this.withTwins(member);
    return all.find(({ state }) => state !== 'closing' && state !== 'closed');
  }

  stay(member: Member<Message>): void {
    this.picker.forget(member);
  }

  leave(member: Member<Message>): void {
    this.picker.leave(member);
    this.#announceRoom();
  }

  onEject(member: Member<Message>, info: EjectInfo): void {
    this.picker.changed(member);
    this.#delivery.deliver('eject', info, member.tag, member);
  }

  onRestore(member: Member<Message>, info: RestoreInfo): void {
    this.picker.changed(member);
    // One that is closing does not return.
    if (member.state === 'closing' || member.state === 'closed') return;
    this.#delivery.deliver('restore', info, member.tag, member);
    this.#announceRoom();
  }

  /** Disconnects members, and removes them. */
  async remove(members: readonly Member<Message>[]): Promise<void> {
    for (const member of members) this.#removed.add(member);
    await Promise.all(members.map((member) => member.disconnect()));
    for (const member of members) {
      // One that had closed before emits no `close` any more.
      this.#known.delete(member);
      this.#forget(member);
    }
  }

  /** Disconnects and removes all members. Calls share one promise. */
  disconnect(): Promise<void> {
    this.#rejectWaiters();
    this.disconnecting ??= this.remove([...this.present]).finally(() => {
      this.disconnecting = undefined;
    });
    return this.disconnecting;
  }

  destroy(): void {
    this.#rejectWaiters();
    for (const member of [...this.present]) {
      this.#removed.add(member);
      member.destroy();
      // Removed after its last events, which may be queued behind one that is being delivered.
      void this.remove([member]);
    }
  }

  whenOpen(count: number, options: PoolWhenOpenOptions): Promise<void> {
    const opened = this.#waiters.add(count, options);
    if (this.disconnecting === undefined) this.#waiters.settle(() => this.picker.count);
    else this.#rejectWaiters();
    return opened;
  }

  #rejectWaiters(): void {
    this.#waiters.reject(new ConnectionError('ERR_CLOSED', 'The pool is disconnected'));
  }

  /** Called with every event of a member, after the member's own listeners. */
  #observe(member: Member<Message>, event: keyof ConnectionEvents, args: readonly unknown[]): void {
    if (event === 'data' || event === 'message') this.picker.received(member);
    else this.#noteChange(member, event, args);
    // One that was removed, and that the application has started again.
    if (!this.#known.has(member)) return;
    const { tag } = member;
    // `as`: `args` are the arguments of `event`. `data` is frequent: without the spread it allocates less.
    if (event === 'data') this.#delivery.deliver('data', args[0] as Buffer, tag, member);
    else this.#delivery.deliver(event, ...([...args, tag, member] as never));
    if (event === 'close') this.#onClose(member);
    else if (event !== 'data' && event !== 'message' && this.present.has(member)) {
      this.ejection?.observe(member, event, args);
    }
  }

  /** What an event changes in the pool, before it is delivered to the pool's listeners. */
  #noteChange(member: Member<Message>, event: keyof ConnectionEvents, [, previous]: readonly unknown[]): void {
    if (event === 'drain') {
      this.picker.drained(member);
      if (this.picker.isCandidate(member)) this.wantsRoom = false;
      return;
    }
    if (event === 'state') {
      this.picker.changed(member);
      if (previous === 'closed' && this.#known.has(member)) this.present.add(member);
    } else if (event === 'open') {
      this.#waiters.settle(() => this.picker.count);
    } else {
      return;
    }
    this.retirements.advance();
    this.#announceRoom();
  }

  #onClose(member: Member<Message>): void {
    const isRemoved = this.#removed.delete(member);
    if (isRemoved) this.#known.delete(member);
    this.ejection?.forget(member);
    this.#delivery.enqueue(() => {
      // A listener may have restarted it: it stays a member then, unless it was removed.
      if (isRemoved || member.state === 'closed') this.#forget(member);
    });
  }

  #forget(member: Member<Message>): void {
    this.present.delete(member);
    this.ejection?.forget(member);
    this.picker.forget(member);
  }

  /** Emits the `drain` that is due, where a member has room that does not emit it itself: it has just opened, say. */
  #announceRoom(): void {
    if (!this.wantsRoom) return;
    // When the events of the member are delivered, and its queue is sent: what a listener writes is no part of its hello.
    queueMicrotask(() => {
      const member = this.wantsRoom ? this.picker.withRoom() : undefined;
      if (member === undefined) return;
      this.wantsRoom = false;
      this.#delivery.deliver('drain', member.tag, member);
    });
  }
}
