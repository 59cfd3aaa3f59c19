import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

import { ConnectionPool, ConnectionRegistry, ReconnectingConnection } from '../../lib/index';
import { compiled } from '../kit/compiled';
import type { Polluted } from './pollution-servers';

// A program: puts name after name on Object.prototype, as a careless merge of foreign JSON does, and says for each what
// connections then do that they should not. One line of JSON: { scenes, faults }.

/** Each name of an option, here or of Node's, with a value that does harm where it is heeded. */
function harm(trap: { port: number; path: string }, foreign: string): [string, unknown][] {
  const refuse = () => {
    throw new Error('polluted');
  };
  return [
    ['port', trap.port],
    ['host', '127.0.0.9'],
    ['hostname', '127.0.0.9'],
    ['path', trap.path],
    ['target', () => ({ port: trap.port })],
    ['tls', { rejectUnauthorized: false }],
    ['tls', true],
    ['dial', () => connect(trap.port, '127.0.0.1')],
    ['lookup', (_host: string, _options: object, answer: (...args: unknown[]) => void) => answer(null, '127.0.0.9', 4)],
    ['socket', { localAddress: '127.0.0.9' }],
    ['backoff', { initialDelay: 60_000, jitter: 'none' }],
    ['initialDelay', 60_000],
    ['maxDelay', 1],
    ['multiplier', 0],
    ['jitter', 'junk'],
    ['random', refuse],
    ['queue', { maxBytes: 0 }],
    ['maxBytes', 0],
    ['maxAge', 0],
    ['heartbeat', { interval: 1, ping: refuse }],
    ['interval', 1],
    ['timeout', 1],
    ['ping', refuse],
    ['signal', AbortSignal.abort()],
    ['handshake', refuse],
    ['decoder', refuse],
    ['shouldRetry', () => false],
    ['minUptime', 1],
    ['maxRetries', 0],
    ['maxElapsed', 0],
    ['connectTimeout', 1],
    ['idleTimeout', 1],
    ['closeTimeout', 0],
    ['autoConnect', false],
    ['reuseReadBuffer', true],
    ['maxConnecting', 0],
    ['select', refuse],
    ['noDelay', 'junk'],
    ['keepAlive', 'junk'],
    // Not junk: with that there, Node's own constructor of TLS sockets throws, whoever calls it.
    ['keepAliveInitialDelay', 5_000],
    ['allowHalfOpen', true],
    ['localAddress', '127.0.0.9'],
    ['localPort', 1],
    ['family', 6],
    ['hints', 12_345],
    ['autoSelectFamily', 'junk'],
    ['autoSelectFamilyAttemptTimeout', 'junk'],
    ['fd', 0],
    ['handle', {}],
    ['onread', { buffer: Buffer.alloc(9), callback: refuse }],
    ['rejectUnauthorized', false],
    ['checkServerIdentity', () => undefined],
    ['ca', foreign],
    ['cert', 'junk'],
    ['key', 'junk'],
    ['pfx', 'junk'],
    ['passphrase', 'junk'],
    ['secureContext', { context: {} }],
    ['servername', 'elsewhere.test'],
    ['session', 'junk'],
    ['ALPNProtocols', ['']],
    ['ALPNCallback', refuse],
    ['SNICallback', refuse],
    ['pskCallback', refuse],
    ['minVersion', 'junk'],
    ['maxVersion', 'junk'],
    ['minDHSize', 999_999],
    ['ciphers', 'junk'],
    ['secureProtocol', 'junk'],
    ['secureOptions', 'junk'],
    ['sessionTimeout', 'junk'],
    ['ticketKeys', 'junk'],
    ['crl', 'junk'],
    ['isServer', true],
    ['requestCert', false],
    ['requestOCSP', true],
    ['enableTrace', true],
    ['then', undefined],
    ['attempts', 0],
    ['cause', 'polluted'],
    ['code', 'polluted'],
  ];
}

type Scene = [title: string, play: () => Promise<string>];

async function main(): Promise<void> {
  const path = `${process.argv[2] ?? ''}/trap`;
  const child = fork(await compiled('fuzz/pollution-servers'), [path]);
  // `as`: its first message says where its servers are.
  const [servers] = (await once(child, 'message')) as [Polluted];
  const tls = { ca: servers.ca };
  const quick = { backoff: { initialDelay: 10, maxDelay: 10 }, maxRetries: 1 };
  const at = (port: number) => ({ port, host: 'localhost' });
  const scenes: Scene[] = [
    ['plain', () => outcome(new ReconnectingConnection({ port: servers.plain }))],
    [
      'with options',
      () => outcome(new ReconnectingConnection({ ...quick, port: servers.plain, socket: {}, queue: {} })),
    ],
    ['target()', () => outcome(new ReconnectingConnection({ ...quick, target: () => ({ port: servers.plain }) }))],
    ['of a pool', () => outcome(new ConnectionPool(quick).add({ port: servers.plain }))],
    ['of a registry', () => outcome(new ConnectionRegistry().connect({ port: servers.plain }))],
    ['TLS', () => outcome(new ReconnectingConnection({ ...quick, ...at(servers.secure), tls }))],
    ['TLS to a self-signed', () => outcome(new ReconnectingConnection({ ...quick, ...at(servers.selfSigned), tls }))],
    ['TLS to another', () => outcome(new ReconnectingConnection({ ...quick, ...at(servers.wrongHost), tls }))],
    [
      'TLS over a dial',
      () =>
        outcome(
          new ReconnectingConnection({
            ...quick,
            ...at(servers.selfSigned),
            tls,
            dial: () => connect({ ...OWN, port: servers.selfSigned, host: '127.0.0.1' }),
          }),
        ),
    ],
  ];

  const faults: string[] = [];
  process.on('uncaughtException', (error) => faults.push(`uncaught: ${String(error.stack)}`));
  process.on('unhandledRejection', (reason) => faults.push(`unhandled: ${String(reason)}`));
  const play = () => Promise.all(scenes.map(async ([title, scene]) => `${title}: ${await played(scene)}`));
  const clean = await play();
  let count = 0;
  for (const [name, value] of harm({ port: servers.trap, path }, servers.foreign)) {
    Object.defineProperty(Object.prototype, name, { value, writable: true, configurable: true, enumerable: true });
    const polluted = await play();
    Reflect.deleteProperty(Object.prototype, name);
    count += polluted.length;
    polluted.forEach((line, index) => {
      if (line !== clean[index]) faults.push(`Object.prototype.${name}: ${line}, not ${String(clean[index])}`);
    });
  }
  child.send('trapped?');
  const [trapped] = (await once(child, 'message')) as [number];
  if (trapped > 0) faults.push(`${trapped} connections went into the trap`);
  child.kill();
  console.log(JSON.stringify({ scenes: count, clean, faults }));
}

async function played(scene: Scene[1]): Promise<string> {
  try {
    return await scene();
  } catch (error) {
    return String(error);
  }
}

/** What an own `dial` must see to itself, in a polluted process. */
const OWN = Object.fromEntries(
  ['path', 'lookup', 'localAddress', 'localPort', 'fd', 'signal', 'handle', 'onread', 'family', 'hints', 'timeout']
    .concat('allowHalfOpen', 'autoSelectFamily', 'autoSelectFamilyAttemptTimeout', 'keepAlive', 'noDelay')
    .map((name) => [name, undefined]),
);

/** In words: that it had its echo, or why not. */
async function outcome(connection: ReconnectingConnection): Promise<string> {
  const states = { pending: connection.stats.writes.queued.writes };
  const closed = once(connection, 'close') as Promise<[{ error?: { cause?: { code?: string; message?: string } } }]>;
  const echoed = once(connection, 'data') as Promise<[Buffer]>;
  connection.write('x');
  const nothing = new Promise<['nothing']>((resolve) => setTimeout(resolve, 5_000, ['nothing']).unref());
  const [first] = await Promise.race([echoed, closed, nothing]);
  if (first === 'nothing') {
    connection.destroy();
    return 'neither echoed nor closed';
  }
  if (!Buffer.isBuffer(first)) return `closed, ${first.error?.cause?.code ?? String(first.error?.cause?.message)}`;
  const { reason } = await connection.disconnect();
  return `echoed ${String(first)} and ${reason}, ${connection.generation} session, ${states.pending} before`;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(2);
});
