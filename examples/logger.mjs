// Every event carries one plain object: read it for the console, or hand it to a structured logger as it is.
// Run it: node examples/logger.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { pino } from 'pino';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

const server = createServer();
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

const connection = new ReconnectingConnection({ port, backoff: { initialDelay: 50, maxDelay: 1000 } });

connection.on('backoff', ({ attempt, delay, reason, error }) => {
  console.log(`${connection.tag}: retry ${attempt} in ${delay} ms (${error?.message ?? reason})`);
});

// What failed is under `error`, and pino wants to be told that an Error is there.
const logger = pino({ base: { tag: connection.tag }, serializers: { error: pino.stdSerializers.err } });

connection.on('open', (info) => logger.info(info, 'open'));
connection.on('reset', (info) => logger.warn(info, 'reset'));
connection.on('backoff', (info) => logger.warn(info, 'backoff'));
connection.on('close', (info) => logger.info(info, 'close'));

// The server goes down with its first session, and is back by the second retry.
server.once('connection', (socket) => {
  server.close();
  socket.destroy();
});
connection.on('backoff', ({ attempt }) => {
  if (attempt === 2) server.listen(port, '127.0.0.1');
});
connection.on('open', ({ reopened }) => {
  if (reopened) connection.disconnect().then(() => server.close());
});
