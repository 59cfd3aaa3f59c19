// What a consumer runs. Each program prints one line when all is well, and fails otherwise.

/** @param {string} imports */
const program = (imports) => `${imports}
const check = (what, holds) => { if (!holds) throw new Error(what); };
async function main() {
  const script = new ScriptedDial(['refuse', { deliver: 'scripted' }]);
  const scripted = new ReconnectingConnection({ port: 1, dial: script.dial, backoff: () => 1 });
  const recorder = record(scripted);
  check('scripted', String((await recorder.next('data'))[0]) === 'scripted');
  scripted.destroy();

  const server = await LoopbackServer.start({ echo: true });
  const proxy = await FaultProxy.start({ target: server.target });
  const connection = new ReconnectingConnection({ ...proxy.target, minUptime: 0, backoff: () => 10 });
  const heard = record(connection);
  await heard.next('open');
  proxy.cut();
  await heard.next('reset');
  await heard.next('open');
  connection.write('echo');
  check('echo', String((await heard.next('data'))[0]) === 'echo');
  const pool = new ConnectionPool();
  pool.add(server.target);
  await record(pool).next('open');
  await pool.disconnect();
  check('end', (await connection.disconnect()).reason === 'disconnected');
  await proxy.close();
  await server.close();
  try { new ReconnectingConnection({ port: 0 }); } catch (error) { check('code', error.code === 'ERR_INVALID_OPTION' && error instanceof ConnectionError); }
  console.log('all is well');
}
main();
`;

const NAMES = 'ConnectionError, ConnectionPool, ReconnectingConnection, registry';
const KIT = 'FaultProxy, LoopbackServer, ScriptedDial, record';

/** As ESM, where the default registry must be the one that `require` gives. */
export const esm = program(`import { createRequire } from 'node:module';
import { ${NAMES} } from 'reconnecting-connection';
import { ${KIT} } from 'reconnecting-connection/testing';
const required = createRequire(import.meta.url)('reconnecting-connection');
if (required.registry !== registry) throw new Error('There are two registries');`);

export const cjs = program(`const { ${NAMES} } = require('reconnecting-connection');
const { ${KIT} } = require('reconnecting-connection/testing');`);

/** For a bundler. */
export const bundled = program(`import { ${NAMES} } from 'reconnecting-connection';
import { ${KIT} } from 'reconnecting-connection/testing';
if (registry.getConnection(1) !== undefined) throw new Error('A registry with a connection');`);

/** For workerd: three sessions, of which the server ends two. It answers a request with what it has to say. */
export const worker = `import { ReconnectingConnection } from 'reconnecting-connection';
export default {
  async fetch(request) {
    const port = Number(new URL(request.url).searchParams.get('port'));
    const connection = new ReconnectingConnection({ port, minUptime: 0, backoff: () => 10 });
    const signal = AbortSignal.timeout(10_000);
    const heard = [];
    try {
      for (let session = 1; session <= 3; session++) {
        const { generation } = await connection.whenOpen({ signal });
        if (generation !== session) throw new Error('Session ' + generation + ' in place of ' + session);
        connection.write('echo ' + session);
        heard.push(String(await new Promise((resolve) => connection.once('data', resolve))));
        if (session < 3) {
          connection.write('end');
          await new Promise((resolve) => connection.once('reset', resolve));
        }
      }
      const { reason } = await connection.disconnect();
      if (heard.join() !== 'echo 1,echo 2,echo 3' || reason !== 'disconnected') throw new Error(heard.join() + reason);
      return new Response('all is well\\n');
    } catch (error) {
      return new Response(String(error.stack));
    }
  },
};
`;

export const workerd = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.bundle.mjs")],
      compatibilityDate = "2026-03-17",
      compatibilityFlags = ["nodejs_compat"],
    )),
    (name = "internet", network = (allow = ["private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;

/** As TypeScript: the types of both entries fit together. */
export const types = `import { ConnectionPool, type ConnectionEvents, ReconnectingConnection, registry } from 'reconnecting-connection';
import { FaultProxy, LoopbackServer, type Recorder, ScriptedDial, record } from 'reconnecting-connection/testing';

async function main(): Promise<void> {
  const { dial } = new ScriptedDial(['refuse', { deliver: 'x' }]);
  const connection: ReconnectingConnection<string> = new ReconnectingConnection<string>({ port: 1, dial });
  const recorder: Recorder<ConnectionEvents<string>> = record(connection);
  const [{ delay }] = await recorder.next('backoff', { where: ({ attempt }) => attempt > 1 });
  const [, tag] = await record(new ConnectionPool<string>()).next('message');
  const server = await LoopbackServer.start();
  const proxy = await FaultProxy.start({ target: server.target });
  registry.connect({ ...proxy.target, backoff: () => delay + tag.length });
  // @ts-expect-error there is no such event
  await recorder.next('opened');
}
void main();
`;
