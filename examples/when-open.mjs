// `whenOpen()` waits for a session, with a limit of time or attempts; the connection goes on retrying after that.
// Run it: node examples/when-open.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

// A server that is down at first.
const server = createServer();
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());
await once(server.close(), 'close');

const connection = new ReconnectingConnection({ port, backoff: { initialDelay: 50, maxDelay: 200 } });

await connection.whenOpen({ attempts: 2 }).catch((error) => {
  console.log(`After two attempts: ${error.code}`);
});

await connection.whenOpen({ signal: AbortSignal.timeout(100) }).catch((error) => {
  console.log(`After 100 ms: ${error.code}, ${error.cause.name}`);
});

console.log(`Still at it: ${connection.state}`);
await once(server.listen(port, '127.0.0.1'), 'listening');

const { generation, attempts } = await connection.whenOpen();
console.log(`Open: session ${generation}, attempts: ${attempts}`);

const { reason } = await connection.disconnect();
console.log(`Closed: ${reason}`);
server.close();
