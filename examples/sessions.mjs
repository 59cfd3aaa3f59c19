// A protocol that runs once for every session: its state is local to the loop, so a reset clears it.
// Run it: node examples/sessions.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
import split2 from 'split2';
/** @import { AddressInfo } from 'node:net' */

// The server expects a name first. It resets the first session, like a crash.
let sessions = 0;
const server = createServer((socket) => {
  const isFirst = ++sessions === 1;
  socket.once('data', () => socket.write('welcome\n5\n7\n'));
  socket.on('data', (request) => {
    if (String(request) !== 'more\n') return;
    if (isFirst) socket.resetAndDestroy();
    else socket.write('11\n');
  });
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

/** @type {ReconnectingConnection<string>} */
const connection = new ReconnectingConnection({ port, decoder: () => split2(), backoff: { initialDelay: 20 } });

for await (const session of connection.sessions()) {
  let sum = 0;
  session.write('ada\n');
  for await (const line of session) {
    console.log(`session ${session.generation}: ${line}`);
    if (line === '7') session.write('more\n');
    sum += Number(line) || 0;
    if (line === '11') await connection.disconnect();
  }
  const { reason, error } = await session.ended;
  console.log(`session ${session.generation} ended with ${sum} (${error?.message ?? reason})`);
}

console.log('The lifecycle is over, and so is the loop');
server.close();
