// Three crowds on one server, which differ only in how they wait.
import { exponentialBackoff } from 'reconnecting-connection';
import { Crowd } from './crowd.mjs';
import { TroubledServer } from './server.mjs';
/** @import { PoolOptions } from 'reconnecting-connection' */
/** @import { Action, CrowdFigures, CrowdIntroduction, Downtime, Message } from './messages.js' */

const growth = { initialDelay: 250, maxDelay: 8000 };

/** The waits of `plain` and `jitter` have the same growth; `pool` has the defaults of the library. @type {Record<string, PoolOptions>} */
const policies = {
  plain: { backoff: exponentialBackoff({ ...growth, jitter: 'none' }), coordinateDials: false },
  jitter: { backoff: exponentialBackoff({ ...growth, jitter: 'full' }), coordinateDials: false },
  pool: {},
};

/** Outages that are sent to a new page. */
const KEPT = 10;

export class Crowds {
  /** @type {Downtime[]} */
  #downtimes = [];
  #server;
  #crowds;
  #tell;

  /** @param {TroubledServer} server @param {(message: Message) => void} tell */
  constructor(server, tell) {
    this.#server = server;
    this.#tell = tell;
    this.#crowds = Object.entries(policies).map(([id, options]) => new Crowd(id, server.port, options));
  }

  /** @param {(message: Message) => void} tell */
  static async start(tell) {
    return new Crowds(await TroubledServer.start(), tell);
  }

  /** @param {Action} action @returns whether a crowd's server has this action */
  async act(action) {
    if (action === 'kill') await this.#kill();
    else if (action === 'revive') await this.#revive();
    else return false;
    return true;
  }

  /** @returns {CrowdIntroduction[]} */
  introduce() {
    return this.#crowds.map((crowd) => crowd.introduce());
  }

  get downtimes() {
    return this.#downtimes;
  }

  /** @param {number} at @returns {CrowdFigures[]} */
  figures(at) {
    return this.#crowds.map((crowd) => crowd.figures(at));
  }

  async stop() {
    for (const { pool } of this.#crowds) pool.destroy();
    await this.#server.set('down');
  }

  async #kill() {
    if (this.#server.mode === 'down') return;
    for (const crowd of this.#crowds) crowd.fall();
    this.#downtimes = [...this.#downtimes.slice(1 - KEPT), { from: Date.now() }];
    await this.#server.set('down');
    this.#tellDowntimes();
  }

  async #revive() {
    const latest = this.#downtimes.at(-1);
    if (this.#server.mode !== 'down' || latest === undefined) return;
    await this.#server.set('up');
    for (const crowd of this.#crowds) crowd.rise();
    this.#downtimes = [...this.#downtimes.slice(0, -1), { ...latest, to: Date.now() }];
    this.#tellDowntimes();
  }

  #tellDowntimes() {
    this.#tell({ type: 'downtimes', at: Date.now(), downtimes: this.#downtimes });
  }
}
