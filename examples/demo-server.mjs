// The server of the demo, in a process of its own so that it can be killed. demo.mjs starts it, and it ends with demo.mjs.
// It answers a line that ends with a question mark. It counts the others, and sends the count at the end.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
/** @import { AddressInfo } from 'node:net' */

const [, , port = '0'] = process.argv;

const server = createServer({ allowHalfOpen: true }, async (socket) => {
  socket.on('error', () => socket.destroy());
  let count = 0;
  let latest = '';
  for await (const line of createInterface({ input: socket })) {
    if (line.endsWith('?')) {
      socket.write(`process ${process.pid} received "${line}"\n`);
    } else {
      count += 1;
      latest = line;
    }
  }
  socket.end(count > 0 ? `received ${count} lines, up to "${latest}"\n` : '');
});

server.listen(Number(port), '127.0.0.1', () => {
  process.send?.(/** @type {AddressInfo} */ (server.address()).port);
});

process.on('disconnect', () => process.exit());
