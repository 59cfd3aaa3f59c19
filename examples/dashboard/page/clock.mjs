// The server's clock, as well as the page can know it.

let ahead = -Infinity;

/** A message that was sent at `at` has arrived: the one that took the least time knows best. @param {number} at */
export function setClock(at) {
  ahead = Math.max(ahead, at - performance.now());
}

/** What was learnt of a process that is gone says nothing of the next. @param {number} at */
export function restartClock(at) {
  ahead = at - performance.now();
}

/** Milliseconds since the epoch, at the server. */
export function now() {
  return performance.now() + ahead;
}

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** @param {number} bytes a second */
export function rate(bytes) {
  return bytes < 1000 ? `${bytes} B/s` : `${(bytes / 1000).toFixed(1)} kB/s`;
}

/** @param {number} at */
export function timeOfDay(at) {
  return new Date(at).toLocaleTimeString('en-GB');
}
