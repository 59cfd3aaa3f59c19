// A member of the pool, as the page shows it: its phases and its throughput.
/** @import { BackoffInfo, ReconnectingConnection } from 'reconnecting-connection' */
/** @import { MemberFigures, MemberIntroduction, Phase, Step } from './messages.js' */

/** Milliseconds of history. */
const MEMORY = 70_000;
/** Milliseconds for the average of the rate. */
const SPAN = 2000;

export class Member {
  /** @type {readonly Step[]} */
  #steps;
  #onStep;
  /** Bytes so far, the latest sample last. @type {readonly { at: number, bytes: number }[]} */
  #samples = [];
  /** Dials before this attempt: until there is another, it waits at the gate. */
  #dials = 0;
  /** The names of its servers by their tags, where it has several. @type {Readonly<Record<string, string>>} */
  #places;
  /** When its ejection ends; 0 unless it is ejected. */
  ejectedUntil = 0;

  /**
   * @param {string} id
   * @param {string} name
   * @param {ReconnectingConnection} connection
   * @param {(member: Member, step: Step) => void} onStep
   * @param {Readonly<Record<string, string>>} places
   */
  constructor(id, name, connection, onStep, places = {}) {
    this.id = id;
    this.name = name;
    this.connection = connection;
    this.#steps = [{ phase: connection.state, at: Date.now(), generation: 0 }];
    this.#onStep = onStep;
    this.#places = places;
    this.#listen(connection);
  }

  /** Shows another connection in the place of this one, as soon as that is open, or this one has closed. @param {ReconnectingConnection} twin */
  giveWayTo(twin) {
    const old = this.connection;
    const change = () => {
      if (this.connection !== old) return;
      this.connection = twin;
      this.#samples = [];
      this.ejectedUntil = 0;
      this.#step(twin.state);
    };
    this.#listen(twin);
    twin.once('open', change);
    old.once('close', change);
  }

  /** @param {ReconnectingConnection} connection */
  #listen(connection) {
    const isShown = () => this.connection === connection;
    connection.on('state', (next) => {
      if (!isShown()) return;
      if (next === 'closed') this.ejectedUntil = 0;
      if (next === 'connecting') this.#onConnecting();
      // The `backoff` event has the end of the wait.
      else if (next !== 'backoff') this.#step(next);
    });
    connection.on('backoff', (info) => isShown() && this.#step('backoff', info));
    // A session that replaces another changes no state.
    connection.on('open', ({ generation }) => {
      if (isShown() && this.#steps.at(-1)?.generation !== generation) this.#step('open');
    });
  }

  /** Checks whether it has passed the gate. */
  look() {
    if (this.#phase === 'waiting' && this.connection.stats.dials > this.#dials) this.#step('connecting');
  }

  /** @returns {MemberIntroduction} */
  introduce() {
    return { id: this.id, name: this.name, steps: this.#steps };
  }

  /** @param {number} at @returns {MemberFigures} */
  figures(at) {
    const { bytesReceived, writes } = this.connection.stats;
    const bytes = bytesReceived + writes.confirmed.bytes;
    this.#samples = [...this.#samples.filter((sample) => sample.at > at - SPAN), { at, bytes }];
    const first = this.#samples[0] ?? { at, bytes };
    const rate = ((bytes - first.bytes) * 1000) / Math.max(1, at - first.at);
    const { queued, refused } = writes;
    return {
      id: this.id,
      rate: Math.round(rate),
      queued: queued.writes,
      refused: refused.writes,
      ...(this.ejectedUntil > 0 && { ejectedUntil: this.ejectedUntil }),
    };
  }

  get #phase() {
    return this.#steps.at(-1)?.phase;
  }

  /** Most pass the gate at once, and are not shown as waiting. */
  #onConnecting() {
    const { dials } = this.connection.stats;
    const before = this.#steps.at(-1);
    this.#dials = dials;
    setImmediate(() => {
      if (this.connection.state !== 'connecting' || this.#steps.at(-1) !== before) return;
      this.#step(this.connection.stats.dials > dials ? 'connecting' : 'waiting');
    });
  }

  /** @param {Phase} phase @param {BackoffInfo} [info] */
  #step(phase, info) {
    const at = Date.now();
    const { generation, tag } = this.connection;
    const where = this.#places[tag];
    const step = { phase, at, generation, ...(info && { until: info.retryAt }), ...(where && { where }) };
    const since = this.#steps.findLastIndex((each) => each.at < at - MEMORY);
    this.#steps = [...this.#steps.slice(Math.max(0, since)), step];
    this.#onStep(this, step);
  }
}
