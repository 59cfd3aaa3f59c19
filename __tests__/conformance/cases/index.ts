import type { Case } from '../lab';
import { addresses } from './addresses';
import { backoff } from './backoff';
import { closing } from './closing';
import { connect } from './connect';
import { disconnect } from './disconnect';
import { endings } from './endings';
import { failures } from './failures';
import { flapping } from './flapping';
import { handshake } from './handshake';
import { jitter } from './jitter';
import { limits } from './limits';
import { liveness } from './liveness';
import { options } from './options';
import { partitions } from './partitions';
import { pool } from './pool';
import { reentrancy } from './reentrancy';
import { reset } from './reset';
import { signal } from './signal';
import { socketOptions } from './socket-options';
import { stale } from './stale';
import { timeouts } from './timeouts';
import { tls } from './tls';
import { waiting } from './waiting';
import { writes } from './writes';

const sections: readonly (readonly Case[])[] = [
  addresses,
  backoff,
  closing,
  connect,
  disconnect,
  endings,
  failures,
  flapping,
  handshake,
  jitter,
  limits,
  liveness,
  options,
  partitions,
  pool,
  reentrancy,
  reset,
  signal,
  socketOptions,
  stale,
  timeouts,
  tls,
  waiting,
  writes,
];

const numberOf = ({ id }: Case): number => Number(id.slice(1));

/** All cases, by number. */
export const cases: readonly Case[] = sections.flat().sort((one, other) => numberOf(one) - numberOf(other));
