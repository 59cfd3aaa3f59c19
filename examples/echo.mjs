// The life of a connection: open, write, receive the echo, disconnect.
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

// The session is not open yet: the write is queued, and sent as soon as it opens.
connection.write('Hello, echo!');
