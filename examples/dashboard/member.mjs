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

  /**
   * @param {string} id
   * @param {string} name
   * @param {ReconnectingConnection} connection
   * @param {(member: Member, step: Step) => void} onStep
   */
  constructor(id, name, connection, onStep) {
    this.id = id;
    this.name = name;
    this.connection = connection;
    this.#steps = [{ phase: connection.state, at: Date.now(), generation: 0 }];
    this.#onStep = onStep;
    connection.on('state', (next) => {
      if (next === 'connecting') this.#onConnecting();
      // The `backoff` event has the end of the wait.
      else if (next !== 'backoff') this.#step(next);
    });
    connection.on('backoff', (info) => this.#step('backoff', info));
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
    return { id: this.id, rate: Math.round(rate), queued: writes.queued.writes, refused: writes.refused.writes };
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
    const { generation } = this.connection;
    const step = { phase, at, generation, ...(info && { until: info.retryAt }) };
    const since = this.#steps.findLastIndex((each) => each.at < at - MEMORY);
    this.#steps = [...this.#steps.slice(Math.max(0, since)), step];
    this.#onStep(this, step);
  }
}
