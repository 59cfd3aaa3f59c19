// Three servers, one pool: writes go to the members in turn, and every event has the tag of its member.
// Run it: node examples/pool.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ConnectionPool } from 'reconnecting-connection';
/** @import { AddressInfo } from 'node:net' */

const servers = ['Ada', 'Grace', 'Edsger'].map((name) =>
  createServer((socket) => socket.on('data', (chunk) => socket.write(`${name} got ${chunk.toString()}`))),
);
const pool = new ConnectionPool();

for (const server of servers) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {AddressInfo} */ (server.address());
  pool.add({ port });
}

let answers = 0;
pool.on('data', async (chunk, tag) => {
  console.log(`${tag}: ${chunk.toString()}`);
  answers += 1;
  if (answers === 3) {
    console.log(`Broadcast to ${pool.broadcast('the broadcast')} members`);
  }
  if (answers === 6) {
    await pool.disconnect();
    for (const server of servers) server.close();
  }
});

await Promise.all([...pool].map((member) => member.whenOpen()));
console.log(`${pool.stats.open} of ${pool.size} members are open`);

// Round-robin: three writes, three members. `pick()` returns the next member.
pool.pick()?.write('the first write');
pool.write('the second write');
pool.write('the third write');
