import { createServer } from 'node:net';

import { now } from '../client/recovery';

// A server as many are: node server-process.js PORT. It greets whoever comes, and says when it began to listen.

const server = createServer((socket) => {
  socket
    .on('error', () => undefined)
    .resume()
    .write('!');
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1' }, () => process.stdout.write(`${now()}\n`));
process.stdin.resume().on('end', () => process.exit());
