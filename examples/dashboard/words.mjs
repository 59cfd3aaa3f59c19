// A sentence for each event of a connection.
/** @import { BackoffInfo, CloseInfo, EjectInfo, OpenInfo, ResetInfo, RestoreInfo } from 'reconnecting-connection' */
/** @import { Action } from './messages.js' */

export const words = {
  /** @param {OpenInfo} info */
  open({ generation, reopened, attempts, downtime }) {
    const dials = `${attempts} ${attempts === 1 ? 'dial' : 'dials'}`;
    return reopened
      ? `session ${generation} is open after ${seconds(downtime)} and ${dials}`
      : `session ${generation} is open`;
  },
  /** @param {ResetInfo} info */
  reset({ generation, reason, error, uptime, uncertain }) {
    const unsure = uncertain.writes > 0 ? `; ${uncertain.writes} writes are uncertain` : '';
    return `session ${generation} ended after ${seconds(uptime)}: ${cause(reason, error)}${unsure}`;
  },
  /** @param {BackoffInfo} info */
  backoff({ attempt, delay, reason, error }) {
    return `retry ${attempt} in ${seconds(delay)} (${cause(reason, error)})`;
  },
  /** @param {CloseInfo} info */
  close({ reason }) {
    return `closed: ${reason}`;
  },
  /** @param {EjectInfo} info */
  eject({ failures, duration, reason, error }) {
    return `ejected for ${seconds(duration)} after ${failures} failures in a row (${cause(reason, error)})`;
  },
  /** @param {RestoreInfo} info */
  restore({ duration }) {
    return `picked again after ${seconds(duration)}`;
  },
};

/** A sentence for each action. @type {Record<Action, string>} */
export const deeds = {
  kill: 'you killed it: it refuses connections',
  mute: 'you muted it: it accepts connections, and sends nothing',
  flap: 'you let it flap: it closes every connection soon',
  revive: 'you revived it',
  retire: 'you let it say goodbye: each of its members gets a twin, and then ends',
  disconnect: 'you disconnected it',
  connect: 'you connected it again',
};

/** @param {string} reason @param {Error} [error] */
function cause(reason, error) {
  return error !== undefined && 'code' in error ? String(error.code) : reason;
}

/** @param {number} milliseconds */
function seconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
