import type { JoinGate } from '../attempt/dial-gate';
import type { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { BackoffInfo, CloseReason, ConnectionEvents, ResetReason, StateName } from '../events/events';
import type { HeartbeatConnection } from '../options/options';
import type { ResolvedOptions } from '../options/settings';
import type { Established } from '../socket/transport';
import type { StateOf } from './states';

/** The connection around a machine. */
export interface MachineContext extends ResolvedOptions {
  readonly joinGate: JoinGate | undefined;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly connection: HeartbeatConnection;
}

/** What can happen to a connection, with its arguments. */
export interface Inputs {
  connect: [];
  /** `delay`: milliseconds until the next dial may begin. */
  reconnect: [delay: number];
  replace: [];
  disconnect: [];
  destroy: [end: End];
  /** The wait is over, or another member of the pool has found the endpoint back. */
  retry: [];
  /** The attempt has brought a transport. */
  established: [established: Established];
  /** What replaces the session is ready. */
  replaceable: [];
  /** The attempt has failed, or the session is lost. */
  failed: [failure: Failure];
  /** `closeTimeout` has passed. */
  closeTimeout: [];
}

/** What a state does with the inputs that mean something in it. */
export type Handlers<Machine, Name extends StateName> = {
  readonly [Input in keyof Inputs]?: (machine: Machine, state: StateOf<Name>, ...args: Inputs[Input]) => void;
};

/** Why an attempt or a session failed. */
export type Failure = Pick<BackoffInfo, 'reason' | 'error'>;

/** How a lifecycle ends. */
export interface End {
  readonly reason: CloseReason;
  readonly error?: ConnectionError | undefined;
  /** Why the session ended, where that is another reason. */
  readonly resetReason?: ResetReason;
  /** What broke the session, where something did. */
  readonly lastError?: Error | undefined;
}
