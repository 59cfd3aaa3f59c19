// A handshake runs on every new socket before `open`: read the greeting, send a token, wait for OK.
// Run it: node examples/handshake.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

const server = createServer(async (socket) => {
  socket.write('Who is there?');
  const [token] = await once(socket, 'data');
  socket.write(String(token) === 'open sesame' ? 'OK' : 'Wrong token');
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

/** @param {string} token */
const connect = (token) =>
  new ReconnectingConnection({
    port,
    backoff: { initialDelay: 50 },
    maxRetries: 2,
    async handshake(socket, { signal }) {
      await once(socket, 'data', { signal });
      socket.write(token);
      const [answer] = await once(socket, 'data', { signal });
      if (String(answer) !== 'OK') throw new Error(String(answer));
    },
  });

const welcome = connect('open sesame');
await welcome.whenOpen();
console.log('open: the token was right');
await welcome.disconnect();

const stranger = connect('open barley');
stranger.on('backoff', ({ attempt, error }) => console.log(`backoff ${attempt}: ${error?.message}`));
stranger.on('close', ({ reason }) => {
  console.log(`close: ${reason}`);
  server.close();
});
