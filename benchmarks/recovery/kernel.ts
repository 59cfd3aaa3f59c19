import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';

/** The counters of the kernel for this network: dials, and SYN packets that were sent again. */
export interface Dials {
  readonly begun: number;
  readonly repeated: number;
}

export function dials(): Dials {
  return { begun: count('snmp', 'Tcp', 'ActiveOpens'), repeated: count('netstat', 'TcpExt', 'TCPSynRetrans') };
}

/** The file has two lines for each protocol: the names, then the figures. */
function count(file: 'snmp' | 'netstat', protocol: string, name: string): number {
  const [names, figures] = readFileSync(`/proc/self/net/${file}`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}:`))
    .map((line) => line.split(' '));
  return Number(figures![names!.indexOf(name)]);
}

/** Ports below the range of outgoing connections, so that the server can listen on the same port again. */
const [FIRST, LAST] = [20_000, 32_000];

/** One of them that is free now. */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen({ port, host: '127.0.0.1' }, () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
