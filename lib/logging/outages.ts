import type { BackoffInfo, CloseInfo, DropInfo, OpenInfo, ResetInfo } from '../events/events';
import { backoffLine, closeLine, dropLine, openLine, resetLine } from './lines';
import { type OutageSettings, type WriteLine, Outage } from './outage';

/**
 * Decides which lines are logged. The trouble of a target, from the first loss, failed attempt or dropped write until
 * all its connections have been open for `settleTime` or have closed, is one storm: each kind of line is told once and
 * at once, what repeats is summed up at growing intervals, and the end is told if anything was held back.
 */
export class Outages {
  readonly #settings: OutageSettings;
  readonly #write: WriteLine;
  readonly #byTag = new Map<string, Outage>();
  /** A connection stays with its storm when its `target` leads it elsewhere. */
  readonly #byConnection = new Map<object, Outage>();
  /** How the sessions ended that were the last of their lifecycle, until `close` is told. */
  readonly #lastResets = new WeakMap<object, ResetInfo>();

  constructor(settings: OutageSettings, write: WriteLine) {
    this.#settings = settings;
    this.#write = write;
  }

  onOpen(info: OpenInfo, tag: string, connection: object): void {
    const storm = this.#byConnection.get(connection);
    if (storm === undefined) return this.#write(openLine(tag, info));
    storm.addOpen(connection, info);
    if (storm.isDown) return storm.tell(openLine(tag, info));
    storm.tell(storm.backLine(tag));
    storm.settle();
  }

  onReset(info: ResetInfo, tag: string, connection: object): void {
    if (!info.willRetry) {
      this.#lastResets.set(connection, info);
      return;
    }
    if (info.reason === 'forced') return this.#write(resetLine(tag, info));
    const storm = this.#stormOf(tag, connection);
    storm.addLoss(connection);
    storm.tell(resetLine(tag, info));
  }

  onBackoff(info: BackoffInfo, tag: string, connection: object): void {
    const storm = this.#stormOf(tag, connection);
    storm.addRetry(connection);
    storm.tell(backoffLine(tag, info));
  }

  onDrop(info: DropInfo, tag: string, connection: object): void {
    const storm = this.#stormOf(tag, connection);
    storm.addDrop(info);
    storm.tell(dropLine(tag, info));
    storm.settle();
  }

  onClose(info: CloseInfo, tag: string, connection: object): void {
    const line = closeLine(tag, info, this.#lastResets.get(connection));
    this.#lastResets.delete(connection);
    const storm = this.#byConnection.get(connection);
    if (storm === undefined) return this.#write(line);
    this.#byConnection.delete(connection);
    storm.addClose(connection);
    storm.tell(line);
    if (storm.involved.size === 0) storm.end();
    else storm.settle();
  }

  /** Forgets everything, and tells nothing more. */
  clear(): void {
    for (const storm of this.#byTag.values()) storm.clear();
    this.#byTag.clear();
    this.#byConnection.clear();
  }

  #stormOf(tag: string, connection: object): Outage {
    let storm = this.#byConnection.get(connection) ?? this.#byTag.get(tag);
    if (storm === undefined) {
      storm = new Outage(tag, this.#settings, this.#write, (ended) => this.#forget(ended));
      this.#byTag.set(tag, storm);
    }
    storm.involved.add(connection);
    this.#byConnection.set(connection, storm);
    return storm;
  }

  #forget(storm: Outage): void {
    this.#byTag.delete(storm.tag);
    for (const connection of storm.involved) this.#byConnection.delete(connection);
  }
}
