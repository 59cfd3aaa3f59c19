import type { HeartbeatConnection } from '../options/options';
import type { Settings } from '../options/settings';
import type { Refable } from '../timers/deadline';
import { Heartbeat } from './heartbeat';
import type { RoundTrip } from './round-trip';
import { type Watched, IdleWatch, StallWatch } from './watches';

/** The watches of a session that its options ask for. */
export class Liveness implements Refable {
  readonly #heartbeat: Heartbeat | undefined;
  /** Judge the peer's silence. */
  readonly #receiving: readonly (IdleWatch | Heartbeat)[];
  readonly #stall: StallWatch | undefined;
  #isReceiving = false;

  constructor(settings: Settings, connection: HeartbeatConnection, watched: Watched, ref: boolean) {
    const { idleTimeout, heartbeat, writeTimeout } = settings;
    const receiving: (IdleWatch | Heartbeat)[] = [];
    if (heartbeat !== undefined) {
      this.#heartbeat = new Heartbeat(heartbeat, () => heartbeat.ping(connection), watched, ref);
      receiving.push(this.#heartbeat);
    }
    const onStandstill = (milliseconds: number): void => {
      if (this.#isReceiving) this.#heartbeat?.onStandstill(milliseconds);
    };
    if (idleTimeout > 0) receiving.push(new IdleWatch(idleTimeout, watched, ref, onStandstill));
    if (writeTimeout > 0) this.#stall = new StallWatch(writeTimeout, watched, ref);
    this.#receiving = receiving;
  }

  get roundTrip(): RoundTrip | undefined {
    return this.#heartbeat?.roundTrip;
  }

  start(): void {
    this.#stall?.start();
  }

  /** Something was received. */
  onBytes(): void {
    this.#heartbeat?.onBytes();
  }

  /** The peer's silence counts afresh from now on, and only while this side reads. */
  setReceiving(isReceiving: boolean): void {
    this.#isReceiving = isReceiving;
    for (const watch of this.#receiving) {
      watch.stop();
      if (isReceiving) watch.start();
    }
  }

  stop(): void {
    this.setReceiving(false);
    this.#stall?.stop();
  }

  setRef(ref: boolean): void {
    for (const watch of this.#receiving) watch.setRef(ref);
    this.#stall?.setRef(ref);
  }
}

/** The watches that `settings` ask for; undefined where that is none. */
export function livenessOf(
  settings: Settings,
  connection: HeartbeatConnection,
  watched: () => Watched,
  ref: boolean,
): Liveness | undefined {
  const { idleTimeout, heartbeat, writeTimeout } = settings;
  if (idleTimeout === 0 && heartbeat === undefined && writeTimeout === 0) return undefined;
  return new Liveness(settings, connection, watched(), ref);
}
