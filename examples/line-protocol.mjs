// A decoder turns bytes into messages. Each session gets a new one, so half a line never gets into the next session.
// Run it: node examples/line-protocol.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
import split2 from 'split2';
/** @import { AddressInfo, Socket } from 'node:net' */

/** @type {Socket[]} */
const sessions = [];
const server = createServer((socket) => {
  const isFirst = sessions.push(socket) === 1;
  socket.write(isFirst ? 'one\ntwo\nthree and a ha' : 'four\nfive\n');
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

/** @type {ReconnectingConnection<string>} */
const connection = new ReconnectingConnection({ port, decoder: () => split2() });

connection.on('message', async (line) => {
  console.log(`message: ${line}`);
  // Like a crash: the third line is cut in the middle.
  if (line === 'two') sessions[0]?.resetAndDestroy();
  if (line === 'five') {
    await connection.disconnect();
    server.close();
  }
});

connection.on('reset', ({ generation, reason, error }) => {
  console.log(`reset: session ${generation} (${error?.message ?? reason})`);
});
