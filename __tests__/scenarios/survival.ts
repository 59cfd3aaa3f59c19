// What the library makes of faults of the kernel. Played in a private network: see `inPrivateNetwork`.
import type { MemberOptions, ReconnectingConnection, ResetInfo } from 'reconnecting-connection';

import { connectTo, payload, receives, written } from '../kit/connections';
import { FaultProxy } from '../kit/fault-proxy';
import * as kernel from '../kit/kernel';
import { PlainSocket } from '../kit/plain-socket';
import { Loopback } from '../kit/server';
import { until } from '../kit/until';

/** An address that belongs to nobody, by decree. */
const ELSEWHERE = '192.0.2.1';

/** What of a connection's life is compared: its sessions, and why they ended. */
function diary(connection: ReconnectingConnection) {
  const resets: ResetInfo[] = [];
  let opens = 0;
  const failures: string[] = [];
  connection.on('open', () => (opens += 1));
  connection.on('reset', (info) => resets.push(info));
  connection.on('backoff', ({ reason, error }) => failures.push(error?.code ?? reason));
  return {
    resets,
    failures,
    get opens() {
      return opens;
    },
    get reasons() {
      return resets.map(({ reason, error }) => error?.code ?? reason);
    },
  };
}

async function opened(server: { readonly target: MemberOptions }, options: MemberOptions = {}) {
  const connection = connectTo(server, options);
  const heard = diary(connection);
  await connection.whenOpen();
  connection.write('hello;');
  await receives(connection, 'hello;');
  return { connection, heard };
}

async function echoes(connection: ReconnectingConnection, text: string): Promise<string> {
  connection.write(text);
  return receives(connection, text);
}

/** Nobody answers, while nothing is written or something all the time; then everybody does again. */
export async function silentPartition({
  writing,
  interval,
  timeout,
}: {
  writing: boolean;
  interval: number;
  timeout: number;
}) {
  const server = await Loopback.start({ echo: true });
  const { connection, heard } = await opened(server, {
    heartbeat: { interval, timeout, ping: (to) => void to.write('ping;') },
    connectTimeout: 200,
  });
  const before = connection.stats.writes.confirmed.writes;
  kernel.partition(server.port);
  const from = performance.now();
  const writer = writing ? setInterval(() => connection.write('more;'), 10) : undefined;
  const { reason } = await payload(connection, 'reset');
  const took = performance.now() - from;
  clearInterval(writer);
  const confirmed = connection.stats.writes.confirmed.writes - before;
  const failed = await payload(connection, 'backoff', ({ attempt }) => attempt === 2);
  kernel.heal();
  const { reopened, generation } = await payload(connection, 'open');
  await echoes(connection, 'again;');
  return { reason, took, confirmed, failed: failed.reason, reopened, generation, opens: heard.opens };
}

/** The server is behind a wall that swallows everything. */
export async function synDrop(connectTimeout: number) {
  const server = await Loopback.start({ echo: true });
  kernel.partition(server.port);
  const from = performance.now();
  const connection = connectTo(server, { connectTimeout });
  const { reason, error } = await payload(connection, 'backoff');
  const took = performance.now() - from;
  kernel.heal();
  const { reopened } = await payload(connection, 'open');
  return { reason, code: error?.code, took, reopened };
}

/** A firewall that lost its state. */
export async function rejectWithReset() {
  const server = await Loopback.start({ echo: true });
  const { connection, heard } = await opened(server);
  kernel.rejectWithReset(server.port);
  connection.write('into the wall;');
  const { attempt } = await payload(connection, 'backoff', (info) => info.attempt === 3);
  kernel.heal();
  const { reopened } = await payload(connection, 'open');
  const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
  const settled = confirmed.writes + uncertain.writes + dropped.writes + queued.writes;
  return {
    reasons: heard.reasons,
    failures: heard.failures.slice(1, 3),
    attempt,
    reopened,
    balance: accepted.writes - settled,
  };
}

/** A bad line: packets are lost at random, and a round trip takes a while. */
export async function lossAndDelay({
  percent,
  latency,
  messages,
}: {
  percent: number;
  latency: number;
  messages: number;
}) {
  const server = await Loopback.start({ echo: true });
  const proxy = await FaultProxy.start(server.target);
  await proxy.set({ latency });
  const { connection, heard } = await opened(proxy, { idleTimeout: 15_000 });
  kernel.lose(proxy.port, percent);
  const before = kernel.sentAgain();
  let received = '';
  connection.on('data', (chunk) => (received += chunk.toString()));
  let sent = '';
  for (let number = 1; number <= messages; number++) {
    sent += `<${number}>`;
    connection.write(`<${number}>`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await until(() => received.length >= sent.length, { deadline: 15_000, what: () => received });
  const sentAgain = kernel.sentAgain() - before;
  return { sentAgain, same: received === sent, resets: heard.reasons, opens: heard.opens };
}

/** Somebody trips over the cable, and plugs it in again. */
export async function linkDown(milliseconds: number) {
  const server = await Loopback.start({ echo: true });
  const { connection, heard } = await opened(server);
  kernel.linkDown();
  const failure = await written(connection, 'later;');
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  kernel.linkUp();
  const received = await receives(connection, 'later;');
  return { failure: failure?.message, received, resets: heard.reasons, opens: heard.opens };
}

/** The peer's machine loses its power, and starts again: it knows nothing of the session. */
export async function peerReboot() {
  const backend = await Loopback.start({ echo: true });
  const peer = await FaultProxy.start(backend.target);
  const { connection, heard } = await opened(peer);
  kernel.partition(peer.port, 'from');
  await peer.signal('SIGKILL');
  kernel.killSockets(peer.port, 'server');
  kernel.heal();
  await FaultProxy.start(backend.target, { port: peer.port, host: '127.0.0.1' });
  const unaware = { state: connection.state, reasons: heard.reasons };
  const failure = await written(connection, 'are you there?');
  await payload(connection, 'open');
  await echoes(connection, 'again;');
  return { unaware, failure: failure?.message, reasons: heard.reasons, opens: heard.opens };
}

/** The kernel takes the socket away: from this end, or from the other. */
export async function killSockets(whose: 'server' | 'client') {
  const server = await Loopback.start({ echo: true });
  const { connection, heard } = await opened(server);
  const reopened = payload(connection, 'open');
  kernel.killSockets(server.port, whose);
  await reopened;
  await echoes(connection, 'again;');
  return { reasons: heard.reasons, opens: heard.opens };
}

/** Nobody listens, and the kernel gives the dialling socket the very port that it dials. */
export async function selfConnect() {
  const server = await Loopback.start({ echo: true });
  server.refuse();
  kernel.ephemeralPorts(server.port, server.port + 1);
  const connection = connectTo(server);
  const heard = diary(connection);
  const { reason } = await payload(connection, 'backoff', ({ error }) => error?.code === 'ERR_SELF_CONNECT');
  await payload(connection, 'backoff');
  const before = { opens: heard.opens, state: connection.state };
  kernel.ephemeralPorts(32_768, 60_999);
  const restarted = await until(() => restarts(server), { deadline: 5_000 }).then(
    () => true,
    () => false,
  );
  if (restarted) await echoes(connection, 'at last;');
  return { reason, before, restarted, opens: heard.opens };
}

/** Whether a server can listen again; not while the connection itself has the port, which it may for a moment. */
async function restarts(server: Loopback): Promise<boolean> {
  try {
    await server.accept();
    return true;
  } catch {
    return false;
  }
}

/** Dials that fail in every way that a kernel knows; then what stood in the way is gone. */
export async function failingDials(
  fault: 'EADDRNOTAVAIL' | 'ECONNREFUSED' | 'EHOSTUNREACH' | 'ENETUNREACH' | 'EACCES' | 'EINVAL' | 'no such host',
) {
  kernel.assign(ELSEWHERE);
  const server = await Loopback.start({ echo: true, host: ELSEWHERE });
  const mend = await obstruct(fault, server);
  const connection = connectTo(server);
  const heard = diary(connection);
  await payload(connection, 'backoff', ({ attempt }) => attempt === 3);
  const before = { failures: heard.failures.slice(), opens: heard.opens };
  mend();
  const { attempts } = await payload(connection, 'open');
  await echoes(connection, 'at last;');
  return { ...before, attempts: attempts >= 4, resets: heard.reasons };
}

/** Stands in the way of dials to `server`. Returns what mends that. */
async function obstruct(fault: Parameters<typeof failingDials>[0], server: Loopback): Promise<() => void> {
  const routes = { EACCES: 'prohibit', EINVAL: 'blackhole', EHOSTUNREACH: 'unreachable' } as const;
  switch (fault) {
    case 'EADDRNOTAVAIL': {
      kernel.ephemeralPorts(41_000, 41_001);
      const hogs = [await PlainSocket.open(server.target), await PlainSocket.open(server.target)];
      return () => {
        for (const { socket } of hogs) socket.resetAndDestroy();
      };
    }
    case 'ECONNREFUSED':
      kernel.rejectWithReset(server.port);
      return kernel.heal;
    case 'no such host':
      kernel.refuse(server.port, 'host-unreachable');
      return kernel.heal;
    case 'ENETUNREACH':
      kernel.unassign(ELSEWHERE);
      return () => kernel.assign(ELSEWHERE);
    default:
      kernel.unassign(ELSEWHERE);
      kernel.route(routes[fault], ELSEWHERE);
      return () => {
        kernel.unroute(ELSEWHERE);
        kernel.assign(ELSEWHERE);
      };
  }
}
