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
