import { type ReconnectingConnection, machineOf } from '../connection';
import { Deadline } from '../timers/deadline';

type Member<Message> = ReconnectingConnection<Message>;

/** What retiring a member needs of its pool. */
export interface RetirementPool<Message> {
  readonly present: ReadonlySet<Member<Message>>;
  /** Calls `begin` when no other member with this tag is being replaced, perhaps at once. Returns what ends the turn. */
  takeTurn(tag: string, begin: () => void): () => void;
  /** Adds a member with the settings of another; undefined while the pool disconnects. */
  addTwin(member: Member<Message>): Member<Message> | undefined;
  /** The member is not replaced after all. */
  stay(member: Member<Message>): void;
  /** The member is not to be picked any more. */
  leave(member: Member<Message>): void;
  remove(members: readonly Member<Message>[]): Promise<void>;
}

/**
 * Members that are replaced, each by a twin that is opened first: one at a time for each tag, as with `replace()`. The old
 * member then takes no more part in picking, and is disconnected when its peer has ended the session, or after
 * `closeTimeout`. It is not ended at once, for many servers answer no more once they have seen the end.
 */
export class Retirements<Message> {
  readonly #pool: RetirementPool<Message>;
  readonly #running = new Map<Member<Message>, Promise<void>>();
  /** Conditions that members have to meet, each with what is called when they do. */
  readonly #waits = new Map<() => boolean, () => void>();

  constructor(pool: RetirementPool<Message>) {
    this.#pool = pool;
  }

  /** Replaces `member`. Calls share one promise, which never rejects. */
  retire(member: Member<Message>): Promise<void> {
    const running = this.#running.get(member);
    if (running !== undefined) return running;
    let endTurn: (() => void) | undefined;
    const replaced = new Promise<boolean>((resolve) => {
      endTurn = this.#pool.takeTurn(member.tag, () => resolve(this.#replace(member)));
    });
    const retired = replaced
      .then((isReplaced) => {
        endTurn?.();
        return isReplaced ? this.#drain(member) : this.#pool.stay(member);
      })
      .finally(() => this.#running.delete(member));
    this.#running.set(member, retired);
    return retired;
  }

  /** A member has opened, or changed its state. */
  advance(): void {
    for (const [isOver, resolve] of this.#waits) {
      if (isOver() && this.#waits.delete(isOver)) resolve();
    }
  }

  /** Opens the twin. Resolves to false where the member stays: the twin has closed, and the member is still open. */
  async #replace(member: Member<Message>): Promise<boolean> {
    if (!this.#pool.present.has(member)) return false;
    const twin = member.state === 'closing' ? undefined : this.#pool.addTwin(member);
    if (twin === undefined) return true;
    const isTwinOpen = () => machineOf(twin).session?.info !== undefined;
    await this.#until(() => isTwinOpen() || twin.state === 'closed' || member.state !== 'open');
    return twin.state !== 'closed' || member.state !== 'open';
  }

  async #drain(member: Member<Message>): Promise<void> {
    this.#pool.leave(member);
    let isTimeUp = false;
    const deadline = new Deadline(machineOf(member).settings.closeTimeout, false, () => {
      isTimeUp = true;
      this.advance();
    });
    await this.#until(() => isTimeUp || member.state !== 'open');
    deadline.clear();
    await this.#pool.remove([member]);
  }

  #until(isOver: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (isOver()) resolve();
      else this.#waits.set(isOver, resolve);
    });
  }
}
