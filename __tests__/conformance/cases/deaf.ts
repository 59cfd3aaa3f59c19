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
  /** Lets it go on: it accepts what fills its backlog, and what the kernel sends again. */
  resume(): void;
  /** Kills it, and takes away the sockets that fill its backlog. On a Unix socket its file is left behind. */
  destroy(): Promise<void>;
}

/**
 * Starts a server whose process is stopped and whose backlog is full. Over TCP a dial to it hangs, for its SYN is
 * dropped; on a Unix socket (`path`) it fails with EAGAIN.
 */
export async function startDeaf(
  place: { path: string } | { host: string } = { host: '127.0.0.1' },
): Promise<DeafServer> {
  const path = 'path' in place ? place.path : undefined;
  const options = JSON.stringify({ port: path === undefined ? 0 : undefined, ...place, backlog: 1 });
  const script = `const server = require('node:net').createServer();
    server.listen(${options}, () => process.stdout.write(JSON.stringify(server.address())));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  trackProcess(child);
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  // `as`: an address of TCP, where there is no path.
  const address = JSON.parse(said.toString()) as { port: number; address: string };
  const target = path === undefined ? { port: address.port, host: address.address } : { path };
  child.kill('SIGSTOP');
  await until(() => isStopped(child));
  const fill = path === undefined ? await fillTcp(target) : await fillUnix(target);
  const destroy = () => {
    for (const { socket } of fill) socket.destroy();
    return kill(child);
  };
  return { target, resume: () => void child.kill('SIGCONT'), destroy };
}

async function fillTcp(target: DeafServer['target']): Promise<PlainSocket[]> {
  const inside = [];
  for (let count = 0; count < ROOM; count++) inside.push(await PlainSocket.open(target));
  const beyond = new PlainSocket(target);
  if (!(await beyond.isSilentFor(250))) throw new Error(`The server is not deaf: ${beyond.events.join()}`);
  return [...inside, beyond];
}

async function fillUnix(target: DeafServer['target']): Promise<PlainSocket[]> {
  for (const inside = []; ;) {
    const socket = new PlainSocket(target);
    inside.push(socket);
    await until(() => socket.events.length > 0);
    if (socket.events.includes('EAGAIN')) return inside;
  }
}
