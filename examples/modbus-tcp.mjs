// Modbus TCP: a transaction number pairs each answer with its request, in whatever order the answers come.
// Run it: node examples/modbus-tcp.mjs
import { Transform } from 'node:stream';
import { ReconnectingConnection } from 'reconnecting-connection';
import { Requests } from 'reconnecting-connection/requests';
import { startModbusServer } from './servers/modbus.mjs';
// A frame: transaction, protocol, length of the rest (2 bytes each), unit, function (1 byte each), data.
function decoder(rest = Buffer.alloc(0)) {
  return new Transform({
    readableObjectMode: true,
    transform(chunk, _encoding, done) {
      rest = Buffer.concat([rest, chunk]);
      for (let end; rest.length >= 6 && rest.length >= (end = 6 + rest.readUInt16BE(4)); rest = rest.subarray(end)) {
        this.push(rest.subarray(0, end));
      }
      done();
    },
  });
}

const server = await startModbusServer();
/** @type {ReconnectingConnection<Buffer>} */
const connection = new ReconnectingConnection({ port: server.port, decoder });
const requests = new Requests(connection, { timeout: 5_000, concurrency: 4, match: (frame) => frame.readUInt16BE(0) });
let transaction = 0;
async function readRegister(/** @type {number} */ address) {
  const key = (transaction = (transaction + 1) % 65_536);
  const frame = await requests.request(Buffer.of(key >> 8, key, 0, 0, 0, 6, 1, 3, 0, address, 0, 1), { key });
  const isValue = frame.readUInt8(7) === 3;
  console.log(`register ${address}: ${isValue ? frame.readUInt16BE(9) : `error ${frame.readUInt8(8)}`}`);
}

// The server answers the first one last, and has no register 200.
await Promise.all([1, 2, 3, 200].map(readRegister));
// It hangs up in the middle of its tenth answer. To read again does no harm; to write again might.
for (const address of [5, 6, 7, 8, 9, 10]) await readRegister(address).catch(({ code }) => console.log(address, code));
await readRegister(10);
await connection.disconnect();
server.close();
