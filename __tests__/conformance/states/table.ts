import type { StateName } from 'reconnecting-connection';

/** The states in which a connection meets a fault: those of the machine, the phases of a dial, and what an open session may be doing. */
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

/** What the peer, its process or the application may do. */
const OWN_FAULTS = [
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

/** Faults of the line, for which there is a proxy between the connection and its peer. */
export const LINE_FAULTS = ['cut mid-frame', 'stalled link', 'black hole', 'one-byte slices', 'late close'] as const;

/** The faults of one connection at a time. The process stands still for all connections at once: `'freeze'`. */
export const SINGLE_FAULTS = [...OWN_FAULTS, ...LINE_FAULTS] as const;

export const TRANSPORTS = ['tcp4', 'tcp6', 'unix', 'tls1.2', 'tls1.3'] as const;

export type State = (typeof STATES)[number];
export type LineFault = (typeof LINE_FAULTS)[number];
export type Fault = (typeof SINGLE_FAULTS)[number] | 'freeze';
export type Transport = (typeof TRANSPORTS)[number];

/** Whether what is sent by `transport` is encrypted. */
export function isSecure(transport: Transport): transport is 'tls1.2' | 'tls1.3' {
  return transport.startsWith('tls');
}

/** The events that follow a fault, and the state to which they lead. */
export interface Outcome {
  readonly events: readonly string[];
  readonly state: StateName;
}

/** The outcome of a fault in a state, or why the two cannot meet. */
type Expectation = Outcome | { readonly impossible: string };

type Row = Record<Fault, Expectation>;

const to = (state: StateName, ...events: string[]): Expectation => ({ state, events });
const impossible = (why: string): Expectation => ({ impossible: why });

const noSocket = impossible('there is no socket that a peer could do something to');
const NO_LINK = {
  'peer FIN': noSocket,
  'peer RST': noSocket,
  'cut mid-frame': noSocket,
  'stalled link': noSocket,
  'black hole': noSocket,
  'one-byte slices': noSocket,
  'late close': noSocket,
} as const satisfies Partial<Record<Fault | LineFault, Expectation>>;

const noSession = impossible('the hook of a dial that hangs never runs');
const hookIsOver = impossible('no dial follows');

const rows: Record<State, Row> = {
  idle: {
    ...NO_LINK,
    'server killed': to('idle'),
    'server restarted': to('idle'),
    silence: to('idle'),
    'listener throws': to('open', 'open 1'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('open', 'open 1'),
    'reconnect()': to('open', 'open 1'),
    'disconnect()': to('closed', 'close disconnected'),
    'write, disconnect()': to('closed', 'drop disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    freeze: to('idle'),
  },
  resolving: {
    ...NO_LINK,
    'server killed': to('connecting'),
    'server restarted': to('connecting'),
    silence: to('backoff', 'backoff connect-timeout'),
    'listener throws': to('open', 'open 1'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('connecting'),
    'reconnect()': to('connecting'),
    'disconnect()': to('closed', 'close disconnected'),
    'write, disconnect()': to('closed', 'open 1', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    freeze: to('backoff', 'backoff connect-timeout'),
  },
  tcp: {
    ...NO_LINK,
    // The dial is repeated by the kernel, and meets what is there by then.
    'server killed': to('backoff', 'backoff error', 'backoff error'),
    'server restarted': to('open', 'open 1'),
    silence: to('backoff', 'backoff connect-timeout'),
    'listener throws': to('closed', 'close disconnected'),
    'handshake fails': noSession,
    'connect()': to('connecting'),
    'reconnect()': to('connecting'),
    'disconnect()': to('closed', 'close disconnected'),
    // Nobody answers for as long as `closeTimeout` allows.
    'write, disconnect()': to('closed', 'drop disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    freeze: to('connecting'),
  },
  tls: {
    'peer FIN': to('backoff', 'backoff error'),
    'peer RST': to('backoff', 'backoff error'),
    'server killed': to('backoff', 'backoff error', 'backoff error'),
    'server restarted': to('open', 'backoff error', 'open 1'),
    'cut mid-frame': to('backoff', 'backoff error'),
    silence: to('backoff', 'backoff connect-timeout'),
    'stalled link': to('backoff', 'backoff connect-timeout'),
    'black hole': to('backoff', 'backoff connect-timeout'),
    'one-byte slices': to('open', 'open 1'),
    'late close': to('open', 'open 1'),
    'listener throws': to('open', 'open 1'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('connecting'),
    // The attempt is abandoned; nothing holds up the next one.
    'reconnect()': to('open', 'open 1'),
    'disconnect()': to('closed', 'close disconnected'),
    'write, disconnect()': to('closed', 'open 1', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    freeze: to('open', 'open 1'),
  },
  hook: {
    'peer FIN': to('backoff', 'backoff handshake-failed'),
    'peer RST': to('backoff', 'backoff handshake-failed'),
    'server killed': to('backoff', 'backoff handshake-failed', 'backoff error'),
    'server restarted': to('open', 'backoff handshake-failed', 'open 1'),
    'cut mid-frame': to('backoff', 'backoff handshake-failed'),
    silence: to('backoff', 'backoff connect-timeout'),
    'stalled link': to('backoff', 'backoff connect-timeout'),
    'black hole': to('backoff', 'backoff connect-timeout'),
    'one-byte slices': to('open', 'open 1'),
    'late close': to('backoff', 'backoff handshake-failed'),
    'listener throws': to('open', 'open 1'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('connecting'),
    // The attempt is abandoned; the next one's hook is not held.
    'reconnect()': to('open', 'open 1'),
    'disconnect()': to('closed', 'close disconnected'),
    'write, disconnect()': to('closed', 'open 1', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    // Its answer has come when its time is up.
    freeze: to('open', 'open 1'),
  },
  open: {
    'peer FIN': to('backoff', 'reset peer-end', 'backoff peer-end'),
    'peer RST': to('backoff', 'reset error', 'backoff error'),
    'server killed': to('backoff', 'reset peer-end', 'backoff peer-end', 'backoff error'),
    'server restarted': to('open', 'reset peer-end', 'backoff peer-end', 'open 2'),
    'cut mid-frame': to('backoff', 'data long ', 'reset peer-end', 'backoff peer-end'),
    silence: to('backoff', 'reset idle', 'backoff idle'),
    'stalled link': to('backoff', 'reset heartbeat', 'backoff heartbeat'),
    'black hole': to('backoff', 'reset idle', 'backoff idle'),
    'one-byte slices': to('open', 'data long frame'),
    'late close': to('backoff', 'data last words', 'reset peer-end', 'backoff peer-end'),
    'listener throws': to('backoff', 'data last words', 'reset peer-end', 'backoff peer-end'),
    'handshake fails': to('backoff', 'reset forced', 'backoff handshake-failed'),
    'connect()': to('open'),
    'reconnect()': to('open', 'reset forced', 'open 2'),
    'disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'write, disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'reset destroyed', 'close destroyed'),
    'signal aborted': to('closed', 'reset aborted', 'close aborted'),
    freeze: to('open', 'data thaw'),
  },
  writing: {
    'peer FIN': to('backoff', 'reset peer-end, uncertain', 'backoff peer-end'),
    'peer RST': to('backoff', 'reset error, uncertain', 'backoff error'),
    'server killed': to('backoff', 'reset error, uncertain', 'backoff error', 'backoff error'),
    'server restarted': to('open', 'reset error, uncertain', 'backoff error', 'open 2', 'drain'),
    'cut mid-frame': impossible('what cuts the line takes all that is written, so that nothing is under way any more'),
    silence: to('backoff', 'reset idle, uncertain', 'backoff idle'),
    'stalled link': to('backoff', 'reset heartbeat', 'backoff heartbeat'),
    'black hole': impossible('it takes all that is written, so that nothing is under way any more'),
    'one-byte slices': to('open', 'data long frame'),
    'late close': to('backoff', 'data last words', 'reset peer-end, uncertain', 'backoff peer-end'),
    'listener throws': to('backoff', 'data last words', 'reset peer-end, uncertain', 'backoff peer-end'),
    'handshake fails': to('backoff', 'reset forced, uncertain', 'backoff handshake-failed'),
    'connect()': to('open'),
    'reconnect()': to('open', 'reset forced, uncertain', 'open 2', 'drain'),
    'disconnect()': to('closed', 'reset disconnected, uncertain', 'close disconnected'),
    'write, disconnect()': to('closed', 'reset disconnected, uncertain', 'close disconnected'),
    'destroy()': to('closed', 'reset destroyed, uncertain', 'close destroyed'),
    'signal aborted': to('closed', 'reset aborted, uncertain', 'close aborted'),
    freeze: to('open', 'data thaw'),
  },
  paused: {
    'peer FIN': to('backoff', 'resume()', 'data unread ', 'reset peer-end', 'backoff peer-end'),
    'peer RST': to('backoff', 'reset error', 'backoff error'),
    'server killed': to('backoff', 'resume()', 'data unread ', 'reset peer-end', 'backoff peer-end', 'backoff error'),
    'server restarted': to('open', 'resume()', 'data unread ', 'reset peer-end', 'backoff peer-end', 'open 2'),
    'cut mid-frame': to('open'),
    silence: to('open'),
    'stalled link': to('open'),
    'black hole': to('open'),
    'one-byte slices': to('open'),
    'late close': to('backoff', 'resume()', 'data unread last words', 'reset peer-end', 'backoff peer-end'),
    'listener throws': to('backoff', 'resume()', 'data unread last words', 'reset peer-end', 'backoff peer-end'),
    'handshake fails': to('backoff', 'reset forced', 'backoff handshake-failed'),
    'connect()': to('open'),
    'reconnect()': to('open', 'reset forced', 'open 2'),
    'disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'write, disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'reset destroyed', 'close destroyed'),
    'signal aborted': to('closed', 'reset aborted', 'close aborted'),
    freeze: to('open'),
  },
  backoff: {
    ...NO_LINK,
    'server killed': to('backoff', 'backoff error'),
    'server restarted': to('open', 'open 2'),
    silence: to('backoff'),
    'listener throws': to('open', 'open 2'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('backoff'),
    'reconnect()': to('open', 'open 2'),
    'disconnect()': to('closed', 'close disconnected'),
    // One last dial.
    'write, disconnect()': to('closed', 'open 2', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'close destroyed'),
    'signal aborted': to('closed', 'close aborted'),
    freeze: to('open', 'open 2'),
  },
  closing: {
    'peer FIN': to('closed', 'reset disconnected', 'close disconnected'),
    'peer RST': to('closed', 'reset disconnected', 'close disconnected'),
    'server killed': to('closed', 'reset disconnected', 'close disconnected'),
    'server restarted': to('closed', 'reset disconnected', 'close disconnected'),
    'cut mid-frame': to('closed', 'data long ', 'reset disconnected', 'close disconnected'),
    silence: to('closed', 'reset disconnected', 'close disconnected'),
    'stalled link': to('closed', 'reset disconnected', 'close disconnected'),
    'black hole': to('closed', 'reset disconnected', 'close disconnected'),
    'one-byte slices': to('closing', 'data long frame'),
    'late close': to('closed', 'data last words', 'reset disconnected', 'close disconnected'),
    'listener throws': to('closed', 'reset disconnected', 'close disconnected'),
    'handshake fails': hookIsOver,
    'connect()': to('closing'),
    'reconnect()': to('closing'),
    'disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'write, disconnect()': to('closed', 'reset disconnected', 'close disconnected'),
    'destroy()': to('closed', 'reset destroyed', 'close destroyed'),
    'signal aborted': to('closed', 'reset aborted', 'close aborted'),
    freeze: to('closed', 'reset disconnected', 'close disconnected'),
  },
  closed: {
    ...NO_LINK,
    'server killed': to('closed'),
    'server restarted': to('closed'),
    silence: to('closed'),
    'listener throws': to('open', 'open 2'),
    'handshake fails': to('backoff', 'backoff handshake-failed'),
    'connect()': to('open', 'open 2'),
    'reconnect()': to('closed'),
    'disconnect()': to('closed'),
    'write, disconnect()': to('closed'),
    'destroy()': to('closed'),
    'signal aborted': to('closed'),
    freeze: to('closed'),
  },
};

const noReset = impossible('a Unix socket knows no RST');
const noTls = impossible('what is not encrypted has no TLS handshake');
const noWait = impossible('a dial of a Unix socket is done at once');

/** Cells in which a part of an encrypted frame is nothing. */
const encrypted: Partial<Record<State, Partial<Row>>> = {
  open: { 'cut mid-frame': to('backoff', 'reset peer-end', 'backoff peer-end') },
  closing: { 'cut mid-frame': to('closed', 'reset disconnected', 'close disconnected') },
};

/** The outcome of `fault` in `state`; undefined where the two cannot meet. */
export function expected(transport: Transport, state: State, fault: Fault): Outcome | undefined {
  const expectation = expectationOf(transport, state, fault);
  return 'impossible' in expectation ? undefined : expectation;
}

function expectationOf(transport: Transport, state: State, fault: Fault): Expectation {
  if (state === 'tls' && !isSecure(transport)) return noTls;
  if (state === 'tcp' && transport === 'unix') return noWait;
  if (fault === 'peer RST' && transport === 'unix') return noReset;
  return (isSecure(transport) ? encrypted[state]?.[fault] : undefined) ?? rows[state][fault];
}
