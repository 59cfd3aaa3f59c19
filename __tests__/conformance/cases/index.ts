import type { Case } from '../lab';
import { connect } from './connect';
import { endings } from './endings';
import { pool } from './pool';
import { tls } from './tls';
import { addresses } from './addresses';
import { backoff } from './backoff';
import { failures } from './failures';
import { flapping } from './flapping';
import { jitter } from './jitter';
import { limits } from './limits';
import { liveness } from './liveness';
import { options } from './options';
import { partitions } from './partitions';
import { timeouts } from './timeouts';
import { waiting } from './waiting';
import { writes } from './writes';
import { closing } from './closing';
import { disconnect } from './disconnect';
import { handshake } from './handshake';
import { reentrancy } from './reentrancy';
import { reset } from './reset';
import { signal } from './signal';
import { socketOptions } from './socket-options';
import { stale } from './stale';

/** All cases, by number. */
export const cases: readonly Case[] = [
  ...connect,
  ...addresses,
  ...backoff,
  ...failures,
  ...flapping,
  ...jitter,
  ...limits,
  ...options,
  ...timeouts,
  ...waiting,
  ...liveness,
  ...partitions,
  ...writes,
  ...pool,
  ...tls,
  ...endings,
  ...reset,
  ...handshake,
  ...stale,
  ...socketOptions,
  ...disconnect,
  ...closing,
  ...reentrancy,
  ...signal,
];
