// A hundred connections to one server, and a count of their dials.
import { ConnectionPool } from 'reconnecting-connection';
/** @import { PoolOptions } from 'reconnecting-connection' */
/** @import { Bucket, CrowdFigures, CrowdIntroduction, Outage } from './messages.js' */

const SIZE = 100;
/** Milliseconds of history. */
const MEMORY = 70_000;

export class Crowd {
  /** @type {readonly Bucket[]} */
  #buckets = [];
  /** Dials of all members since the start. */
  #dials = 0;
  /** Dials since the last bucket ended. */
  #fresh = 0;
  #open = 0;
  /** 0 while its server is down, and before the first outage. */
  #revivedAt = 0;
  /** @type {{ dials: number, busiest: number, backAfter?: number } | undefined} */
  #outage;

  /** @param {string} id @param {number} port @param {PoolOptions} options */
  constructor(id, port, options) {
    this.id = id;
    this.pool = new ConnectionPool({ minUptime: 1000, ...options });
    this.pool.on('open', () => this.#onOpen());
    this.pool.on('reset', () => (this.#open -= 1));
    for (let member = 0; member < SIZE; member += 1) this.pool.add({ port });
  }

  /** Its server is down. */
  fall() {
    this.#count();
    this.#outage = { dials: 0, busiest: 0 };
    this.#revivedAt = 0;
  }

  /** Its server is back. */
  rise() {
    this.#count();
    this.#revivedAt = Date.now();
  }

  /** @returns {CrowdIntroduction} */
  introduce() {
    return { id: this.id, size: SIZE, buckets: this.#buckets };
  }

  /** Ends a bucket. @param {number} at @returns {CrowdFigures} */
  figures(at) {
    const bucket = this.#close(at);
    const { waiting, endpoints } = this.pool.stats;
    const [gate] = Object.values(endpoints);
    return {
      id: this.id,
      bucket,
      waiting,
      ...(gate && { gate: gate.phase }),
      // A copy, because it goes on changing.
      ...(this.#outage && { outage: /** @type {Outage} */ ({ ...this.#outage }) }),
    };
  }

  get #isDown() {
    return this.#revivedAt === 0;
  }

  #onOpen() {
    this.#open += 1;
    if (this.#open < SIZE || this.#outage === undefined || this.#outage.backAfter !== undefined) return;
    this.#outage.backAfter = Date.now() - this.#revivedAt;
  }

  /** @param {number} at */
  #close(at) {
    this.#count();
    const bucket = { from: this.#buckets.at(-1)?.to ?? at, to: at, dials: this.#fresh, open: this.#open };
    this.#fresh = 0;
    if (this.#outage && this.#isDown) this.#outage.busiest = Math.max(this.#outage.busiest, bucket.dials);
    this.#buckets = [...this.#buckets.filter(({ to }) => to > at - MEMORY), bucket];
    return bucket;
  }

  #count() {
    const dials = this.pool.connections.reduce((total, { stats }) => total + stats.dials, 0);
    const fresh = dials - this.#dials;
    this.#dials = dials;
    this.#fresh += fresh;
    if (this.#outage && this.#isDown) this.#outage.dials += fresh;
  }
}
