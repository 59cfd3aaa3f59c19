import { createServer } from 'node:net';

import { now } from '../client/recovery';

// node server-process.js PORT: a server that greets each connection, and prints when it began to listen.

const server = createServer((socket) => {
  socket
    .on('error', () => undefined)
    .resume()
    .write('!');
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1' }, () => process.stdout.write(`${now()}\n`));
process.stdin.resume().on('end', () => process.exit());
