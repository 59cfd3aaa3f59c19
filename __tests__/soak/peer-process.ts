import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

import type { PeerWish } from './peer';

// The program of a `Peer`: says where it listens, and goes when its parent does.
const BLOCK = Buffer.alloc(65_536, 'x');
// `as`: written by `Peer.start`.
const wish = JSON.parse(process.argv[2]!) as PeerWish;

function serve(socket: Socket): void {
  socket.on('error', () => {});
  if (wish.how !== 'mute' && wish.how !== 'flood') socket.resume();
  switch (wish.how) {
    case 'hold':
    case 'mute':
      return;
    case 'end-at-once':
      return void socket.end();
    case 'reset-at-once':
      return void socket.resetAndDestroy();
    case 'end':
      return void socket.once('data', () => socket.end());
    case 'reset':
      return void socket.once('data', () => reset(socket));
    case 'flood':
      return flood(socket, wish.cutAfter ?? Infinity);
  }
}

/** Only plain TCP has a reset; the others are cut without an end in good order. */
function reset(socket: Socket): void {
  if (wish.path === undefined && wish.tls === undefined) socket.resetAndDestroy();
  else socket.destroy();
}

function flood(socket: Socket, left: number): void {
  while (left > 0) {
    left -= BLOCK.length;
    if (socket.write(BLOCK)) continue;
    socket.once('drain', () => flood(socket, left));
    return;
  }
  reset(socket);
}

async function listen(): Promise<void> {
  const { path, tls } = wish;
  let server: Server;
  let trust = {};
  if (tls === undefined) {
    server = createServer(serve);
  } else {
    // It takes its time to load.
    const { loadCertificates } = await import('../kit/certificates.js');
    const { ca, otherCa, server: pair } = await loadCertificates();
    server = createTlsServer(pair, serve);
    trust = { tls: { ca: (tls === 'trusted' ? ca : otherCa).cert } };
  }
  server.on('tlsClientError', () => {});
  server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path }, () => {
    const place = path === undefined ? { port: (server.address() as AddressInfo).port } : { path };
    process.stdout.write(JSON.stringify({ ...place, ...trust }) + '\n');
  });
}

process.stdin.resume().on('end', () => process.exit());
void listen();
