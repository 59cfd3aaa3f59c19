// On SIGTERM: accept no more writes, send the queued ones, then exit.
// Run it: node examples/graceful-shutdown.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

let received = 0;
const server = createServer((socket) => {
  socket.on('data', (chunk) => (received += chunk.length));
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

const connection = new ReconnectingConnection({ port });

process.once('SIGTERM', async () => {
  console.log('SIGTERM');
  const { reason } = await connection.disconnect();
  const { accepted, confirmed, uncertain, dropped } = connection.stats.writes;
  console.log(`close: ${reason}`);
  console.log(`accepted ${accepted.bytes}, confirmed ${confirmed.bytes} bytes`);
  console.log(`uncertain ${uncertain.bytes}, dropped ${dropped.bytes} bytes`);
  console.log(`the server has received ${received} bytes`);
  server.close();
});

await connection.whenOpen();
for (let line = 1; line <= 500; line += 1) {
  connection.write(`line ${line}`.padEnd(999) + '\n');
}
console.log(`${connection.pendingBytes} of 500000 bytes are on their way`);
process.kill(process.pid, 'SIGTERM');
