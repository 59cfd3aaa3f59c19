import type { EndpointPhase } from './connect-window';

/** An endpoint in figures. */
export interface EndpointStats {
  /** What is known of it: `healthy`, `probing` (one member finds out) or `ramping` (the others follow). */
  readonly phase: EndpointPhase;
  /** Members that are held back until more is known. */
  readonly waiting: number;
  /** Members that dial and have not connected yet. */
  readonly dialling: number;
  /** Members that may dial at once, not counting slow dials. */
  readonly window: number;
  /** Milliseconds that it takes to connect, on average; null while that is not known. */
  readonly connectTime: number | null;
}

/** The figures of two endpoints with one tag, which are reached in different ways: the worse of the two. */
export function merge(one: EndpointStats, other: EndpointStats): EndpointStats {
  const worse = (['probing', 'ramping', 'healthy'] as const).find(
    (phase) => phase === one.phase || phase === other.phase,
  );
  return {
    phase: worse ?? one.phase,
    waiting: one.waiting + other.waiting,
    dialling: one.dialling + other.dialling,
    window: one.window + other.window,
    connectTime: one.connectTime === null ? other.connectTime : Math.max(one.connectTime, other.connectTime ?? 0),
  };
}
