import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { kill, trackProcess } from '../../kit/clean-up';
import { PlainSocket } from '../../kit/plain-socket';
import { isStopped } from '../../kit/processes';
import { until } from '../../kit/until';

/** Connections that the kernel completes for a listener with a backlog of 1 before it has no more room. */
const ROOM = 2;

/** A server that is stopped, with no room for anyone more. */
export interface DeafServer {
  readonly target: { readonly port: number; readonly host: string } | { readonly path: string };
  /** Kills it. On a Unix socket its file is left behind. */
  destroy(): Promise<void>;
}

/**
 * Starts a server whose process is stopped and whose backlog is full. Over TCP a dial to it hangs, for its SYN is
 * dropped; on a Unix socket (`path`) it fails with EAGAIN.
 */
export async function startDeaf(path?: string): Promise<DeafServer> {
  const place = JSON.stringify({ ...(path === undefined ? { host: '127.0.0.1', port: 0 } : { path }), backlog: 1 });
  const script = `const server = require('node:net').createServer();
    server.listen(${place}, () => process.stdout.write(JSON.stringify(server.address())));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  trackProcess(child);
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  // `as`: an address of TCP, where there is no path.
  const address = JSON.parse(said.toString()) as { port: number; address: string };
  const target = path === undefined ? { port: address.port, host: address.address } : { path };
  child.kill('SIGSTOP');
  await until(() => isStopped(child));
  if (path === undefined) await fillTcp(target);
  else await fillUnix(target);
  return { target, destroy: () => kill(child) };
}

async function fillTcp(target: DeafServer['target']): Promise<void> {
  for (let count = 0; count < ROOM; count++) await PlainSocket.open(target);
  const beyond = new PlainSocket(target);
  if (!(await beyond.isSilentFor(250))) throw new Error(`The server is not deaf: ${beyond.events.join()}`);
}

async function fillUnix(target: DeafServer['target']): Promise<void> {
  for (;;) {
    const socket = new PlainSocket(target);
    await until(() => socket.events.length > 0);
    if (socket.events.includes('EAGAIN')) return;
  }
}
