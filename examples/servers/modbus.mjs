// A Modbus TCP server for the example beside it: holding registers 0 to 99, whose values are 1000 and more.
import { once } from 'node:events';
import { createServer } from 'node:net';
/** @import { AddressInfo, Socket } from 'node:net' */

/** It sends 8 bytes at a time, answers the first request of each session last, and hangs up within its tenth answer. */
export async function startModbusServer() {
  let answered = 0;
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    let isFirst = true;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= 12; rest = rest.subarray(12)) {
        const answer = answerTo(rest.subarray(0, 12));
        const cut = ++answered === 10;
        setTimeout(() => void send(socket, answer, cut), isFirst ? 50 : 0);
        isFirst = false;
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {AddressInfo} */ (server.address());
  return { port, close: () => server.close() };
}

/**
 * Transaction, protocol, length, unit; then the function and its data, or the function plus 128 and an error.
 *
 * @param {Buffer} request
 */
function answerTo(request) {
  const address = request.readUInt16BE(8);
  const count = request.readUInt16BE(10);
  const values = Buffer.alloc(2 * count);
  for (let index = 0; index < count; index++) values.writeUInt16BE(1000 + address + index, 2 * index);
  const pdu = address + count > 100 ? Buffer.of(0x83, 2) : Buffer.of(3, values.length, ...values);
  return Buffer.concat([request.subarray(0, 4), Buffer.of(0, pdu.length + 1), request.subarray(6, 7), pdu]);
}

/** @type {WeakMap<Socket, Promise<void>>} */
const sending = new WeakMap();

/**
 * One answer after the other, in pieces.
 *
 * @param {Socket} socket
 * @param {Buffer} answer
 * @param {boolean} cut
 */
function send(socket, answer, cut) {
  const piecemeal = async () => {
    for (let start = 0; start < answer.length && socket.writable; start += 8) {
      socket.write(answer.subarray(start, start + 8));
      await new Promise((resolve) => setImmediate(resolve));
      if (cut) socket.end();
    }
  };
  sending.set(socket, (sending.get(socket) ?? Promise.resolve()).then(piecemeal));
}
