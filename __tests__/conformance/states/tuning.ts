import { once } from 'node:events';
import type { LookupFunction } from 'node:net';

import type { ConnectionOptions, Handshake, TlsOptions } from 'reconnecting-connection';

import type { Cell } from './cell';
import { PING } from './peer';
import { type Fault, type State, isSecure } from './table';

/** Longer than any cell lives: what is due then is never due. */
const NEVER = 60_000;
/** Bound of a silence that a cell waits for: all cells of a fault must be in their states before. */
const SILENCE = 2_000;
/** Bound of an attempt that has to come far before it is held up. */
const PATIENCE = 2_500;
/** Bound of a close that nobody answers, which others must not come near. */
const CLOSING = 1_000;
/** A wait in which a server can be killed. */
const WAIT = 600;
/** Bound of what falls due while the process stands still, and how long it does. */
const DUE_IN_FREEZE = 3_000;
export const FROZEN = 3_300;

const SILENT = new Set<Fault>(['silence', 'stalled link', 'black hole']);
const SHORT_WAITS = new Set<Fault>([
  'server killed',
  'server restarted',
  'listener throws',
  'handshake fails',
  'freeze',
]);

const DIALLING = new Set<State>(['resolving', 'tcp', 'tls', 'hook']);

/** The options of a cell's connection. */
export function optionsOf(cell: Cell): ConnectionOptions {
  const { state, fault, ground, controller } = cell;
  const isSilent = SILENT.has(fault);
  const isFrozen = fault === 'freeze';
  const isDialling = DIALLING.has(state);
  return {
    ...placeOf(cell),
    ...(isSecure(ground.transport) && { tls: tlsOf(ground.transport, ground.certificates.ca.cert) }),
    autoConnect: state !== 'idle',
    signal: controller.signal,
    connectTimeout: connectTimeoutOf(state, fault),
    closeTimeout: closeTimeoutOf(state, fault),
    idleTimeout: fault === 'stalled link' ? 0 : isSilent ? SILENCE : isFrozen && !isDialling ? DUE_IN_FREEZE : 0,
    ...(fault === 'stalled link' && {
      heartbeat: { interval: SILENCE / 2, timeout: SILENCE / 2, ping: (to) => void to.write(PING) },
    }),
    // Room for pings behind what waits for a peer that does not read.
    queue: { maxBytes: 64 * 1_048_576 },
    backoff: backoffOf(cell),
    handshake: handshakeOf(cell),
  };
}

function connectTimeoutOf(state: State, fault: Fault): number {
  if (SILENT.has(fault) && DIALLING.has(state)) return PATIENCE;
  return fault === 'freeze' && (state === 'hook' || state === 'resolving') ? DUE_IN_FREEZE : 0;
}

function closeTimeoutOf(state: State, fault: Fault): number {
  if (fault === 'freeze') return DUE_IN_FREEZE;
  // A dial that may finish has all the time it needs, but for one that never will.
  if (fault === 'write, disconnect()' && DIALLING.has(state) && state !== 'tcp') return NEVER;
  return state === 'closing' && !SILENT.has(fault) ? NEVER : CLOSING;
}

/** A wait that is short where what comes after it matters, and after that one that does not end. */
function backoffOf({ state, fault }: Cell): (context: { attempt: number }) => number {
  const first = fault === 'freeze' ? DUE_IN_FREEZE : state === 'backoff' ? WAIT : 10;
  const comesBack = fault === 'server restarted';
  return ({ attempt }) => {
    if (!SHORT_WAITS.has(fault)) return NEVER;
    if (fault === 'handshake fails' && state !== 'backoff') return NEVER;
    if (fault === 'listener throws' && state !== 'backoff') return NEVER;
    return attempt === 1 || comesBack ? first : NEVER;
  };
}

function tlsOf(transport: 'tls1.2' | 'tls1.3', ca: string): TlsOptions {
  const version = transport === 'tls1.2' ? 'TLSv1.2' : 'TLSv1.3';
  // With a name: a server is asked for its certificate by name only, and that is where it can be held up.
  return { ca, servername: 'localhost', minVersion: version, maxVersion: version };
}

/** A state in which the address is still to be found asks for a name; a Unix socket has none, but it has a `target`. */
function placeOf({ state, target, resolution }: Cell): ConnectionOptions {
  if (state !== 'resolving') return target;
  if ('path' in target) return { target: async () => (await resolution.passed, target) };
  const { host } = target;
  const lookup: LookupFunction = (_name, options, answer) => {
    const family = host.includes(':') ? 6 : 4;
    void resolution.passed.then(() => {
      if (options.all === true) answer(null, [{ address: host, family }]);
      else answer(null, host, family);
    });
  };
  return { port: target.port, host: 'localhost', socket: { lookup } };
}

/** Lets sessions open, except that the first dial of its own state waits, and that it fails where that is the fault. */
function handshakeOf({ state, fault, hook, hooked }: Cell): Handshake {
  const sessionsBefore = state === 'idle' || state === 'resolving' || state === 'tls' ? 0 : 1;
  let runs = 0;
  return async (socket, { generation, signal }) => {
    runs += 1;
    if (fault === 'handshake fails' && state !== 'hook' && generation > sessionsBefore) throw new Error('Refused');
    if (state !== 'hook' || runs > 1) return;
    hooked.open();
    if (fault === 'freeze' || fault === 'one-byte slices') {
      // How many of the slices come together is up to the kernel.
      const whole = fault === 'freeze' ? 'thaw' : 'long frame';
      for (let read = ''; read.length < whole.length;) {
        const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
        read += chunk.toString('latin1');
      }
      return;
    }
    // With unread bytes before it, an end is not seen.
    const read = () => undefined;
    socket.on('data', read);
    const stop = () => hook.fail(new Error('Too late'));
    signal.addEventListener('abort', stop, { once: true });
    await hook.passed.finally(() => {
      socket.off('data', read);
      signal.removeEventListener('abort', stop);
    });
  };
}
