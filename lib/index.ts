/**
 * Connections that come back. Begin with {@link ReconnectingConnection}, its {@link ConnectionOptions} and its
 * {@link ConnectionEvents}. A {@link ConnectionPool} keeps many of them together, and a {@link ConnectionRegistry} finds
 * them again.
 *
 * All durations are in milliseconds, and all sizes in bytes. What is wrong with an argument throws a
 * {@link ConnectionError} with a code; what is wrong with a network never throws, and shows in events.
 *
 * @packageDocumentation
 */

export {
  type Backoff,
  type BackoffContext,
  type ConstantBackoffOptions,
  type ExponentialBackoffOptions,
  type Jitter,
  connmanBackoff,
  constantBackoff,
  defaultBackoff,
  exponentialBackoff,
} from './backoff';
export type { CanaryPhase } from './canary';
export type { ChannelEvent } from './channels';
export { ReconnectingConnection } from './connection';
export type { DuplexOptions } from './duplex';
export type { ChannelMessage } from './diagnostics';
export type { EndpointStats } from './endpoint';
export { type ConnectionErrorDetails, type ErrorCode, ConnectionError } from './errors';
export type {
  BackoffInfo,
  CloseInfo,
  CloseReason,
  ConnectionEvents,
  DropInfo,
  DropReason,
  FailureReason,
  FinalReason,
  GiveUpReason,
  OpenInfo,
  Reason,
  ResetInfo,
  ResetReason,
  StateName,
  WriteCount,
} from './events';
export type {
  ConnectionOptions,
  Dial,
  Failure,
  Handshake,
  HandshakeContext,
  HeartbeatConnection,
  HeartbeatOptions,
  QueueOptions,
  SocketOptions,
} from './options';
export type { LogEvent } from './log-lines';
export type { LogConvention, Logger } from './logger';
export { type LogEventsOptions, type LogLevels, logEvents } from './logging';
export type { WriteTotals } from './ledger';
export { type PoolEvents, type PoolOptions, type PoolStats, type SelectMember, ConnectionPool } from './pool';
export { ConnectionRegistry, registry } from './registry';
export type { SelectorName } from './selection';
export type { ConnectionSession, SessionChunk, SessionsOptions } from './sessions';
export type { ConnectionStats, ErrorSummary, Transition } from './history';
export type { PathTarget, ResolvedTarget, Target, TcpTarget, TlsOptions } from './target';
export type { WhenOpenOptions } from './waiters';
export type { WriteCallback } from './writes';
