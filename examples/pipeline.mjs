// A connection as a stream: it waits while the server is down, and applies backpressure.
// Run it: node examples/pipeline.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as immediate } from 'node:timers/promises';
import { ReconnectingConnection } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

// An echo server that is down at first.
const server = createServer((socket) => socket.pipe(socket));
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());
await once(server.close(), 'close');

const connection = new ReconnectingConnection({ port, backoff: { initialDelay: 20 } });
connection.once('backoff', () => {
  console.log('The server is down: the pipeline waits');
  server.listen(port, '127.0.0.1');
});
connection.on('close', ({ reason }) => console.log(`close: ${reason}`));

const source = Readable.from(Array.from({ length: 1_000 }, () => Buffer.alloc(1_000)));
let received = 0;
const slow = new Writable({
  async write(chunk, _encoding, done) {
    received += chunk.length;
    await immediate();
    done();
  },
});

// The end of the source disconnects, after the remaining data of the server was received.
await pipeline(source, connection.toDuplex(), slow);
console.log(`${received} bytes came back`);
server.close();
