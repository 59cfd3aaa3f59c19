import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

/** A port that was free a moment ago; another process may take it first. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // `as`: it listens on a port.
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether a server accepts connections there. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const done = (accepted: boolean) => {
      socket.destroy();
      settle(accepted);
    };
    // Without a listener, the kernel may connect a socket to itself.
    socket.on('connect', () => done(socket.localPort !== port)).on('error', () => done(false));
  });
}
