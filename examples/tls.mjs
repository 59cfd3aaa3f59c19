// TLS with a self-signed certificate: the client trusts it by `ca`, and verification stays on.
// Run it: node examples/tls.mjs
import { once } from 'node:events';
import { TLSSocket, createServer } from 'node:tls';
import { ReconnectingConnection } from 'reconnecting-connection';
import { generate } from 'selfsigned';
/** @import { AddressInfo } from 'node:net' */

// For localhost and 127.0.0.1.
const certificate = await generate([{ name: 'commonName', value: 'localhost' }], {
  keyType: 'ec',
  algorithm: 'sha256',
});

const server = createServer({ key: certificate.private, cert: certificate.cert }, (socket) => {
  socket.end('Nobody else can read this.');
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (server.address());

const connection = new ReconnectingConnection({ port, tls: { ca: certificate.cert } });

connection.on('open', () => {
  const { socket } = connection;
  if (!(socket instanceof TLSSocket)) return;
  const { subject, subjectaltname } = socket.getPeerCertificate();
  console.log(`open: ${socket.getProtocol()} with ${subject.CN} (${subjectaltname})`);
});

connection.on('data', async (chunk) => {
  console.log(`data: ${chunk.toString()}`);
  const { reason } = await connection.disconnect();
  console.log(`close: ${reason}`);
  server.close();
});
