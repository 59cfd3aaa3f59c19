// A Unix socket instead of host and port; everything else is the same.
// Run it: node examples/unix-socket.mjs
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReconnectingConnection } from 'reconnecting-connection';

const directory = await mkdtemp(join(tmpdir(), 'example-'));
const path = join(directory, 'echo.sock');

const server = createServer((socket) => socket.pipe(socket));
await once(server.listen(path), 'listening');

const connection = new ReconnectingConnection({ path });

connection.on('open', () => {
  console.log(`open: ${connection.tag}`);
  connection.write('Hello, neighbour!');
});

connection.on('data', (chunk) => {
  console.log(`data: ${chunk.toString()}`);
  connection.disconnect();
});

connection.on('close', async ({ reason }) => {
  console.log(`close: ${reason}`);
  server.close();
  await rm(directory, { recursive: true });
});
