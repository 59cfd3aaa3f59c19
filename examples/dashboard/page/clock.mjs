// An estimate of the server's clock.

let ahead = -Infinity;
/** When the feed was lost; then the pictures stand still. @type {number | undefined} */
let stoppedAt;

/** A message that was sent at `at` has arrived; the fastest message gives the best estimate. @param {number} at */
export function setClock(at) {
  ahead = Math.max(ahead, at - performance.now());
}

/** A new process: the old estimate is void. @param {number} at */
export function restartClock(at) {
  ahead = at - performance.now();
  stoppedAt = undefined;
}

/** The process is gone: what follows is unknown. */
export function stopClock() {
  stoppedAt ??= now();
}

/** Milliseconds since the epoch, by the server's clock. */
export function now() {
  return stoppedAt ?? performance.now() + ahead;
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
