import { ConnectionError } from '../errors';
import { type Transport, kernelQueue } from '../socket/transport';
import { type SilenceHandler, Silence } from '../timers/silence';
import type { Outbox } from '../writes/outbox';

/** What a session has written, as far as that can be seen. */
export interface Outflow {
  /** Bytes that the kernel has not taken yet. */
  readonly waiting: number;
  /** Whether the kernel has no room for more. */
  readonly isBlocked: boolean;
  /** A number that grows with each byte that the kernel takes. */
  readonly taken: number;
}

/** What is in a transport, and in the outbox that writes to it. A stream that is no socket shows whole writes only. */
export function outflowOf(transport: Transport, { pendingBytes, handedBytes, totals }: Outbox): Outflow {
  const queue = kernelQueue(transport);
  const waiting = Math.max(pendingBytes, transport.writableLength, queue?.waiting ?? 0);
  if (queue === undefined) {
    // A stream that was handed several chunks takes one after the other, and confirms a write with the last.
    const taken = totals.confirmed.bytes + handedBytes - transport.writableLength;
    return { waiting, isBlocked: waiting > 0, taken };
  }
  return { waiting, isBlocked: queue.waiting > 0, taken: queue.taken };
}

/** The session, as its watches see it. They ask at intervals, so that a chunk or a write costs nothing more. */
export interface Watched {
  readonly tag: string;
  /** Bytes received up to now. */
  received(): number;
  /** Writes accepted up to now. */
  writes(): number;
  outflow(): Outflow;
  /** Called once, when the session is to end. */
  onDead(reason: 'idle' | 'heartbeat' | 'stalled', error: ConnectionError): void;
}

/** Finds a peer from which nothing was received for `idleTimeout` milliseconds. Writes do not count. */
export class IdleWatch extends Silence {
  constructor(idleTimeout: number, watched: Watched, ref: boolean, onStandstill?: (milliseconds: number) => void) {
    let received = 0;
    const hasSign = (): boolean => {
      const before = received;
      received = watched.received();
      return received !== before;
    };
    const onSilent = (): void => {
      const { tag } = watched;
      const message = `Nothing was received from ${tag} for ${idleTimeout} ms`;
      watched.onDead('idle', new ConnectionError('ERR_IDLE', message, { tag }));
    };
    const handler: SilenceHandler = { hasSign, onSilent, ...(onStandstill && { onStandstill }) };
    super(idleTimeout, handler, ref);
  }
}

/** Finds a session in which bytes wait and the kernel takes none of them for `writeTimeout` milliseconds. */
export class StallWatch extends Silence {
  constructor(writeTimeout: number, watched: Watched, ref: boolean) {
    let before: Outflow | undefined;
    const hasSign = (): boolean => {
      const last = before;
      before = watched.outflow();
      // The time begins with the first look that finds bytes waiting.
      return before.waiting === 0 || (last?.waiting ?? 0) === 0 || before.taken !== last?.taken;
    };
    const onSilent = (): void => {
      const { tag } = watched;
      const message = `Bytes wait in the socket to ${tag}, and the kernel took none of them for ${writeTimeout} ms`;
      watched.onDead('stalled', new ConnectionError('ERR_STALLED', message, { tag }));
    };
    super(writeTimeout, { hasSign, onSilent }, ref);
  }
}
