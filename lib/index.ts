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
} from './options/backoff';
export type { EndpointPhase } from './pool/connect-window';
export type { ChannelEvent } from './events/diagnostics-channel';
export { type ChannelMessage, ReconnectingConnection } from './connection';
export type { DuplexOptions } from './streams/duplex';
export type { EndpointStats } from './pool/endpoint';
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
} from './events/events';
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
} from './options/options';
export type { LogEvent } from './logging/lines';
export type { LogConvention, Logger } from './logging/logger';
export { type LogEventsOptions, type LogLevels, logEvents } from './logging/log-events';
export type { WriteTotals } from './writes/counts';
export { type PoolEvents, type PoolOptions, type PoolStats, type SelectMember, ConnectionPool } from './pool/pool';
export { ConnectionRegistry, registry } from './registry';
export type { SelectorName } from './pool/selection';
export type { ConnectionSession, SessionChunk, SessionsOptions } from './streams/sessions';
export type { ConnectionStats, ErrorSummary, Transition } from './lifecycle/stats';
export type { PathTarget, ResolvedTarget, Target, TcpTarget, TlsOptions } from './options/target';
export type { WhenOpenOptions } from './lifecycle/when-open';
export type { WriteCallback } from './writes/write';
