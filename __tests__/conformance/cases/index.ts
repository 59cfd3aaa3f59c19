import type { Case } from '../lab';
import { addresses } from './addresses';
import { backoff } from './backoff';
import { beforeTls } from './before-tls';
import { closing } from './closing';
import { connect } from './connect';
import { disconnect } from './disconnect';
import { endings } from './endings';
import { failures } from './failures';
import { flapping } from './flapping';
import { handshake } from './handshake';
import { intent } from './intent';
import { jitter } from './jitter';
import { limits } from './limits';
import { liveness } from './liveness';
import { options } from './options';
import { partitions } from './partitions';
import { pool } from './pool';
import { progress } from './progress';
import { reentrancy } from './reentrancy';
import { reset } from './reset';
import { room } from './room';
import { signal } from './signal';
import { socketOptions } from './socket-options';
import { stale } from './stale';
import { timeouts } from './timeouts';
import { tls } from './tls';
import { trust } from './trust';
import { waiting } from './waiting';
import { will } from './will';
import { writes } from './writes';

const sections: readonly (readonly Case[])[] = [
  addresses,
  backoff,
  beforeTls,
  closing,
  connect,
  disconnect,
  endings,
  failures,
  flapping,
  handshake,
  intent,
  jitter,
  limits,
  liveness,
  options,
  partitions,
  pool,
  progress,
  reentrancy,
  reset,
  room,
  signal,
  socketOptions,
  stale,
  timeouts,
  tls,
  trust,
  waiting,
  will,
  writes,
];

const numberOf = ({ id }: Case): number => Number(id.slice(1));

/** All cases, by number. */
export const cases: readonly Case[] = sections.flat().sort((one, other) => numberOf(one) - numberOf(other));
