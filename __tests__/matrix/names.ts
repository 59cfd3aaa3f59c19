/** Every place in its life where a connection can be met by a fault. */
export const STATES = [
  'idle',
  'resolving',
  'tcp',
  'tls',
  'hook',
  'open',
  'writing',
  'paused',
  'backoff',
  'closing',
  'closed',
] as const;

/** Faults that a cell suffers alone, with a server of its own. */
export const OWN_FAULTS = [
  'peer FIN',
  'peer RST',
  'server killed',
  'server restarted',
  'silence',
  'listener throws',
  'handshake fails',
  'connect()',
  'reconnect()',
  'disconnect()',
  'write, disconnect()',
  'destroy()',
  'signal aborted',
] as const;

/** Faults of the line: the cells of one such fault share the proxy, and suffer it together. */
export const LINE_FAULTS = ['cut mid-frame', 'stalled link', 'black hole', 'one-byte slices', 'late close'] as const;

/** The whole process stands still, so that all its cells suffer it together. */
export const FREEZE = 'freeze';

export const FAULTS = [...OWN_FAULTS, ...LINE_FAULTS, FREEZE] as const;

export const TRANSPORTS = ['tcp4', 'tcp6', 'unix', 'tls1.2', 'tls1.3'] as const;

export type State = (typeof STATES)[number];
export type OwnFault = (typeof OWN_FAULTS)[number];
export type LineFault = (typeof LINE_FAULTS)[number];
export type Fault = (typeof FAULTS)[number];
export type Transport = (typeof TRANSPORTS)[number];

/** Whether what is sent by `transport` is encrypted. */
export function isSecure(transport: Transport): transport is 'tls1.2' | 'tls1.3' {
  return transport.startsWith('tls');
}
