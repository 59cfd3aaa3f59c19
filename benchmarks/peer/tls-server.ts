import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';

import { loadCertificates } from '../../__tests__/kit/certificates';

// node tls-server.js: a TLS server that says nothing. It prints its port and the certificate of its authority as JSON.

void loadCertificates().then(({ ca, server: pair }) => {
  const server = createServer(pair, (socket) => socket.on('error', () => undefined).resume());
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
    // `as`: it listens on a port.
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${JSON.stringify({ port, ca: ca.cert })}\n`);
  });
});
process.stdin.resume().on('end', () => process.exit());
