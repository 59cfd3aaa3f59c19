/**
 * Connections that reconnect. Begin with {@link ReconnectingConnection}, its {@link ConnectionOptions} and its
 * {@link ConnectionEvents}. A {@link ConnectionPool} keeps many connections together, and a {@link ConnectionRegistry}
 * looks them up by target or name.
 *
 * All durations are in milliseconds, and all sizes in bytes. An invalid argument throws a {@link ConnectionError} with a
 * code; a failure of the network never throws, but is reported by events.
 *
 * @packageDocumentation
 */

export { type ChannelMessage, ReconnectingConnection } from './connection';
export { type ConnectionErrorDetails, type ErrorCode, ConnectionError } from './errors';

export type { ChannelEvent } from './events/diagnostics-channel';
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
export type {
  CommonOptions,
  ConnectionOptions,
  BeforeTls,
  BeforeTlsContext,
  Dial,
  Failure,
  Handshake,
  HandshakeContext,
  NextTarget,
  Prepared,
  TargetContext,
  HeartbeatConnection,
  FailbackOptions,
  HeartbeatOptions,
  MemberOptions,
  QueueOptions,
  SocketOptions,
} from './options/options';
export type { PathTarget, ResolvedTarget, Target, TcpTarget, TlsOptions } from './options/target';

export type { WriteChunk, WriteOptions } from './options/write-options';

export type { WriteTotals } from './writes/counts';
export type { WriteCallback } from './writes/write';

export type { ConnectionStats, ErrorSummary, Transition } from './lifecycle/stats';
export type { RoundTrip } from './session/round-trip';
export type { ReconnectOptions } from './lifecycle/reconnect-options';
export type { WhenOpenOptions } from './lifecycle/when-open';

export type { DuplexOptions } from './streams/duplex';
export type { ConnectionSession, SessionChunk, SessionsOptions } from './streams/sessions';

export { type DnsResolver, type DnsTargetsOptions, dnsTargets } from './pool/dns-targets';
export type { EndpointPhase } from './pool/connect-window';
export type { EjectInfo, EjectionOptions, RestoreInfo } from './pool/ejection-policy';
export type { EndpointStats } from './pool/endpoint-stats';
export {
  type FollowOptions,
  type MemberEntry,
  type MemberSource,
  type PoolEvents,
  type PoolOptions,
  type PoolStats,
  type PoolWhenOpenOptions,
  type SelectMember,
  type SourceInfo,
  type SourceStats,
  ConnectionPool,
} from './pool/pool';
export type { SelectorName } from './pool/selection';

export { type LogEventsOptions, type LogLevels, logEvents } from './logging/log-events';
export type { LogConvention, Logger } from './logging/logger';
export type { LogEvent } from './logging/lines';

export { ConnectionRegistry, registry } from './registry';
