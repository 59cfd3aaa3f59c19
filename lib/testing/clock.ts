import { clearTimeout, setImmediate, setTimeout } from 'node:timers';

/** The real clock, kept from before any test could put a fake one in its place. */
export const setTimer: typeof setTimeout = setTimeout;
export const clearTimer: typeof clearTimeout = clearTimeout;
export const nextTurn: typeof setImmediate = setImmediate;
export const now: () => number = performance.now.bind(performance);

/** Milliseconds for which what is waited for is given, unless the test says otherwise. */
export const DEADLINE = 5_000;
