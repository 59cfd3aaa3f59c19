// A whole life in a few lines: write, hear the echo, leave in good order.
// Run it: node examples/echo.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

const server = createServer((socket) => socket.pipe(socket));
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

const connection = new ReconnectingConnection({ port });

connection.on('open', ({ generation, attempts }) => {
  console.log(`open: session ${generation}, attempts: ${attempts}`);
});

connection.on('data', (chunk) => {
  console.log(`data: ${chunk.toString()}`);
  connection.disconnect();
});

connection.on('close', ({ reason }) => {
  console.log(`close: ${reason}`);
  server.close();
});

// Not even dialled yet: what is written now waits in the queue and goes out as soon as the session opens.
connection.write('Hello, echo!');
