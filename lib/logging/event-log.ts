import { healthyIn } from '../connection';
import {
  type BackoffInfo,
  type CloseInfo,
  type DropInfo,
  type OpenInfo,
  type ResetInfo,
  isRequested,
} from '../events/events';
import { DropLog } from './drops';
import { Gathering, type LogGroup } from './gathering';
import { type LogLine, backoffLine, closeLine, openLine, resetLine, togetherLine } from './lines';
import type { LogMembers } from './members';
import { Outage } from './outage';
import type { OutageSettings } from './repeats';

/** Turns the events of a connection, or of the members of a pool, into lines, and decides which of them are logged. */
export class EventLog {
  readonly #settings: OutageSettings;
  readonly #members: LogMembers;
  readonly #write: (line: LogLine) => void;
  readonly #drops: DropLog;
  readonly #gathering: Gathering;
  readonly #outages = new Map<string, Outage>();
  /** A connection stays in its outage when its `target` function leads it elsewhere. */
  readonly #byConnection = new Map<object, Outage>();
  /** The reset of the last session of a lifecycle, which is logged with `close`. */
  readonly #lastResets = new WeakMap<object, ResetInfo>();

  constructor(settings: OutageSettings, members: LogMembers, write: (line: LogLine) => void) {
    this.#settings = settings;
    this.#members = members;
    this.#drops = new DropLog(settings, write);
    this.#gathering = new Gathering(members, (groups) => this.#writeGroups(groups));
    // What happened before comes before.
    this.#write = (line) => {
      this.#gathering.flush(line.tag);
      this.#drops.flush(line.tag);
      write(line);
    };
  }

  open(info: OpenInfo, tag: string, connection: object): void {
    const outage = this.#byConnection.get(connection);
    if (outage === undefined) return this.#gathering.add('open', { ...openLine(tag, info), connection });
    const trial = healthyIn(connection);
    outage.onOpen({ ...openLine(tag, info, trial), connection }, connection, info.attempts, trial);
  }

  /** The application has vouched for the session. */
  healthy(tag: string, connection: object): void {
    this.#byConnection.get(connection)?.settle(tag);
  }

  reset(info: ResetInfo, tag: string, connection: object): void {
    if (!info.willRetry) {
      this.#lastResets.set(connection, info);
      return;
    }
    // A session that `reconnect()` or `replace()` ended is no outage, but may be a part of one.
    const outage = isRequested(info.reason) ? this.#byConnection.get(connection) : this.#outageOf(tag, connection);
    const line = { ...resetLine(tag, info), connection };
    if (outage === undefined) this.#write(line);
    else outage.onDown(line, connection, info.uncertain);
  }

  backoff(info: BackoffInfo, tag: string, connection: object): void {
    this.#outageOf(tag, connection).onDown({ ...backoffLine(tag, info), connection }, connection);
  }

  drop(info: DropInfo, tag: string, connection: object): void {
    this.#byConnection.get(connection)?.addDropped(info.bytes);
    this.#drops.add(info, tag, connection);
  }

  close(info: CloseInfo, tag: string, connection: object): void {
    const line = { ...closeLine(tag, info, this.#lastResets.get(connection)), connection };
    this.#lastResets.delete(connection);
    const outage = this.#byConnection.get(connection);
    this.#byConnection.delete(connection);
    outage?.leave(connection);
    this.#members.leave(connection);
    this.#gathering.add('close', line, outage);
  }

  /** Writes what waits and what was only counted so far, clears the timers, and forgets all outages. */
  end(): void {
    this.#gathering.flush();
    for (const outage of [...this.#outages.values()]) outage.end();
    this.#drops.end();
  }

  #writeGroups(groups: readonly LogGroup[]): void {
    // No event may follow.
    const isEnd = groups.some(({ lines: [{ event }] }) => event !== 'open') && this.#members.areClosed;
    if (isEnd) this.#drops.flush();
    for (const { lines, outage } of groups) {
      const line = togetherLine(lines);
      if (outage === undefined) this.#write(line);
      else outage.onClosed(line);
    }
    if (isEnd) this.end();
  }

  #outageOf(tag: string, connection: object): Outage {
    let outage = this.#byConnection.get(connection) ?? this.#outages.get(tag);
    if (outage === undefined) {
      outage = new Outage(this.#settings, this.#write, (ended) => {
        this.#outages.delete(tag);
        for (const each of ended.connections) this.#byConnection.delete(each);
      });
      this.#outages.set(tag, outage);
    }
    outage.connections.add(connection);
    this.#byConnection.set(connection, outage);
    return outage;
  }
}
