// One call logs all events of a connection: as text to a console, with fields to a structured logger.
// Run it: node examples/logger.mjs
import { Console } from 'node:console';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { pino } from 'pino';
import { ReconnectingConnection, logEvents } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

const server = createServer();
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

const connection = new ReconnectingConnection({ port, backoff: { initialDelay: 10, maxDelay: 20 } });

logEvents(connection, new Console(process.stdout)); // `console` would put warnings on stderr
logEvents(connection, pino());

// The server goes down with its first session. Of repeated failures, the first is logged, and then the summary.
server.once('connection', (socket) => {
  server.close();
  socket.destroy();
});
connection.on('backoff', ({ attempt }) => {
  if (attempt === 12) server.listen(port, '127.0.0.1');
});
connection.on('open', ({ reopened }) => {
  if (!reopened) return;
  connection.markHealthy(); // otherwise it is on trial for 5 s, for servers may accept and hang up
  connection.disconnect().then(() => server.close());
});
