import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { run } from '../kit/processes';

// Node aborts on −0 in some places (as an address family, as a session timeout of TLS), and `includes(-0)` is true of a
// list with 0. So −0 has to be 0 before anything sees it: each numeric option in a process of its own.

/** How a value is put to use, by the interface that has the option: the body of a function of `name`. */
const USES: Readonly<Record<string, string>> = {
  CommonOptions: `return dial({ [name]: value });`,
  MemberOptions: `return dial({ [name]: value });`,
  SocketOptions: `return dial({ socket: { [name]: value } });`,
  HeartbeatOptions: `return dial({ heartbeat: { interval: 1000, ping() {}, [name]: value } });`,
  FailbackOptions: `return dial({ target: [{ port: 1 }, { port: 2 }], failback: { interval: 1000, [name]: value } });`,
  QueueOptions: `return dial({ queue: { [name]: value } });`,
  ExponentialBackoffOptions: `return dial({ backoff: { [name]: value } });`,
  TlsOptions: `return dial({ tls: { [name]: value } });`,
  PoolOptions: `const pool = new ConnectionPool({ [name]: value }); return dial({}, (options) => pool.add(options));`,
  WriteOptions: `return dial({}, (options) => {
    const connection = new ReconnectingConnection(options);
    connection.write('x', { [name]: value });
    return connection;
  });`,
  DuplexOptions: `return dial({}, (options) => {
    const connection = new ReconnectingConnection(options);
    connection.toDuplex({ [name]: value });
    return connection;
  });`,
  SessionsOptions: `return dial({}, (options) => {
    const connection = new ReconnectingConnection(options);
    connection.sessions({ [name]: value });
    return connection;
  });`,
  ReconnectOptions: `return dial({}, (options) => {
    const connection = new ReconnectingConnection(options);
    connection.reconnect({ [name]: value });
    return connection;
  });`,
  EjectionOptions: `const pool = new ConnectionPool({ ejection: { [name]: value } }); return dial({}, (options) => pool.add(options));`,
  FollowOptions: `return dial({}, (options) => {
    const pool = new ConnectionPool();
    pool.follow((async function* () {})(), { [name]: value })();
    return pool.add(options);
  });`,
  DnsTargetsOptions: `return dial({}, (options) => {
    dnsTargets({ name: 'a.test', record: 'A', port: 1, interval: 1000, [name]: value });
    return new ConnectionPool().add(options);
  });`,
  WhenOpenOptions: `return dial({}, async (options) => {
    const connection = new ReconnectingConnection(options);
    await connection.whenOpen({ [name]: value }).catch((error) => {
      if (error.code === 'ERR_INVALID_OPTION') throw error;
    });
    return connection;
  });`,
};

/** Numeric options of Node's own interfaces. */
const NODES = [
  ...['localPort', 'family', 'hints', 'autoSelectFamilyAttemptTimeout'].map((name): [string, string] => [
    'SocketOptions',
    name,
  ]),
  ...['sessionTimeout', 'secureOptions', 'minDHSize'].map((name): [string, string] => ['TlsOptions', name]),
];

/** Folders whose interfaces called `…Options` are those of the main entry. */
const FOLDERS = ['options', 'lifecycle', 'pool', 'streams'];

/** Every numeric option that the source declares: its interface and its name. */
function declared(): [string, string][] {
  const sources = FOLDERS.flatMap((folder) => {
    const directory = join(__dirname, '../../lib', folder);
    return readdirSync(directory).map((file) => readFileSync(join(directory, file), 'utf8'));
  });
  return sources.flatMap((source) =>
    [...source.matchAll(/^export interface (\w*Options)\b[^{]*\{\n(.*?)^\}/gms)].flatMap(([, name = '', body = '']) =>
      [...body.matchAll(/^ {2}readonly (\w+)\??: number\b/gm)].map(([, option = '']): [string, string] => [
        name,
        option,
      ]),
    ),
  );
}

const options = [...declared(), ...NODES];

/** What comes of a value for each of these options, in one process: `taken`, or the message of its refusal. */
async function outcomesOf(list: readonly (readonly [string, string])[], value: '0' | '-0'): Promise<unknown[]> {
  const attempts = list.map(([owner, name]) => `[${JSON.stringify(name)}, async (name) => { ${USES[owner] ?? ''} }]`);
  const { code, said, stderr } = await run(`
    const value = ${value};
    const server = net.createServer((socket) => socket.on('error', () => {}).end()).listen(0, '127.0.0.1', async () => {
      const { port } = server.address();
      async function dial(given, make = (options) => new ReconnectingConnection(options)) {
        const connection = await make({ host: 'localhost', port, maxRetries: 1, ...given });
        if (connection.state !== 'closed') {
          await new Promise((resolve) => connection.on('backoff', resolve).on('close', resolve).on('open', resolve));
        }
        connection.destroy();
      }
      for (const [name, attempt] of [${attempts.join(',')}]) {
        try {
          await attempt(name);
          say('taken');
        } catch (error) {
          say(error.code === 'ERR_INVALID_OPTION' ? error.message.replace('-0', '0') : String(error.stack));
        }
      }
      server.close();
    });
  `);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const outcome of said) expect(outcome).toMatch(/^(?:taken$|Expected option |Expected `)/);
  return said;
}

describe('−0', () => {
  test('every interface with numeric options is known here', () => {
    expect(options.length).toBeGreaterThan(25);
    expect(options.filter(([owner]) => !(owner in USES))).toEqual([]);
  });

  const zero = outcomesOf(options, '0');

  test.concurrent.each(options)(
    'of %s, `%s` aborts no process, and is taken for 0',
    async (owner, name) => {
      const index = options.findIndex(([one, other]) => one === owner && other === name);
      expect(await outcomesOf([[owner, name]], '-0')).toEqual([(await zero)[index]]);
    },
    30_000,
  );
});
