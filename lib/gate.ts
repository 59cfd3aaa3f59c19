/** Who may dial, and when: how a pool bounds the dials of its members. */
export interface Gate {
  /**
   * Asks to dial.
   *
   * @param proceed - Called once when it may begin: at once, or later.
   * @returns To be called when the dial is over, whether or not it has begun. Calling it again does nothing.
   */
  enter(proceed: () => void): () => void;
}

/** The gate that lets everyone through at once. */
export const openGate: Gate = {
  enter(proceed) {
    proceed();
    return () => undefined;
  },
};

/** A gate through which at most `limit` dials pass at a time; the others wait in the order they came. */
export function limitedGate(limit: number): Gate {
  let inside = 0;
  const waiting = new Set<() => void>();

  return {
    enter(proceed) {
      const start = () => {
        waiting.delete(start);
        inside += 1;
        leave = () => {
          leave = () => undefined;
          inside -= 1;
          const [next] = waiting;
          next?.();
        };
        proceed();
      };
      let leave = () => void waiting.delete(start);
      if (inside < limit) start();
      else waiting.add(start);
      return () => leave();
    },
  };
}

/**
 * A gate that lets at most `burst` of those whom `gate` lets through go on in the same millisecond, however long a turn
 * of the loop takes: what they are let through for happens at its end.
 */
export function pacedGate(gate: Gate, burst: number): Gate {
  let since = -Infinity;
  let begun = 0;
  let sameTurn = false;
  let timer: NodeJS.Timeout | undefined;
  const line = new Set<() => void>();

  const isOver = () => !sameTurn && performance.now() - since >= 1;
  const startBurst = () => {
    since = performance.now();
    begun = 0;
    sameTurn = true;
    setImmediate(() => (sameTurn = false));
  };
  const begin = (proceed: () => void) => {
    line.delete(proceed);
    begun += 1;
    proceed();
  };
  const wait = () => {
    if (line.size > 0) timer ??= setTimeout(advance, 1);
  };
  const advance = () => {
    timer = undefined;
    // Timers go by the time at which the loop last woke: where it was held up, this one is early.
    if (isOver()) {
      startBurst();
      for (const proceed of line) {
        if (begun === burst) break;
        begin(proceed);
      }
    }
    wait();
  };

  return {
    enter(proceed) {
      // A guest of its own each time, should the same function come twice.
      const guest = () => proceed();
      const leave = gate.enter(() => {
        if (line.size === 0 && isOver()) startBurst();
        if (begun < burst) begin(guest);
        else line.add(guest);
        wait();
      });
      return () => {
        if (line.delete(guest) && line.size === 0) {
          clearTimeout(timer);
          timer = undefined;
        }
        leave();
      };
    },
  };
}
