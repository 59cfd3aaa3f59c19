// Faults of the network and the kernel. For use inside a private network only: see `runInNamespace`.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

import { OUTSIDE, network } from './namespace';

/** Packets that go to a port, that come from it, or both. */
export type Way = 'to' | 'from' | 'both';

/** Drops the packets of `port` silently. */
export function partition(port: number, way: Way = 'both'): void {
  rule(port, way, 'drop');
}

/**
 * So many of a hundred packets of `port` vanish, evenly spread. At random, no bound would hold for the number of times in
 * a row that a packet is lost.
 */
export function lose(port: number, percent: number, way: Way = 'both'): void {
  const lost = Array.from({ length: 100 }, (_, index) => index).filter((index) => (index * percent) % 100 < percent);
  rule(port, way, `numgen inc mod 100 { ${lost.join(', ')} } drop`);
}

/** Drops the packets to `address` silently. */
export function silence(address: string): void {
  prepare();
  run('nft', `add rule inet faults input ip daddr ${address} drop`);
}

/** Answers packets of `port` with an RST. The socket that they are for does not see them. */
export function rejectWithReset(port: number, way: Way = 'to'): void {
  rule(port, way, 'reject with tcp reset');
}

/** Packets to `port` are answered with an RST when so many bytes (headers included) have gone there. */
export function cutAfter(port: number, bytes: number, way: Way = 'to'): void {
  rule(port, way, `quota over ${bytes} bytes reject with tcp reset`);
}

/** Packets to `port` are answered by a router: there is no such host, or no such service, or it is forbidden. */
export function refuse(port: number, answer: 'port-unreachable' | 'host-unreachable' | 'admin-prohibited'): void {
  rule(port, 'to', `reject with icmp type ${answer}`);
}

/** Takes back every rule about packets. */
export function heal(): void {
  prepare();
  run('nft', 'flush chain inet faults input');
}

/**
 * Kills the sockets of `port` at once: of those who listen or accepted there, of those who dialled, or of both. Their
 * programs get an error; an RST goes to the peer. Returns how many there were.
 */
export function killSockets(port: number, whose: 'server' | 'client' | 'both' = 'both'): number {
  const filters = { server: 'sport', client: 'dport' };
  const names = whose === 'both' ? (['server', 'client'] as const) : [whose];
  const left = () => names.flatMap((name) => lines('-t', `${filters[name]} = :${port}`)).length;
  const before = left();
  for (const name of names) lines('-K', '-t', 'state', 'connected', `${filters[name]} = :${port}`);
  return before - left();
}

/** The ports that sockets get which ask for none in particular. */
export function ephemeralPorts(from: number, to: number): void {
  // Set one at a time the two have to be in order at every moment: written together they are checked together.
  tune('ip_local_port_range', `${from} ${to}`);
}

/** How often a packet is sent again before its connection is given up: 15 and 6 times by default. */
export function limitRetransmissions({ data, syn }: { readonly data?: number; readonly syn?: number }): void {
  if (data !== undefined) tune('tcp_retries2', String(data));
  if (syn !== undefined) tune('tcp_syn_retries', String(syn));
}

/** Unplugs the one interface there is. */
export function linkDown(): void {
  run('ip', 'link', 'set', 'lo', 'down');
}

/** Plugs it in again. */
export function linkUp(): void {
  run('ip', 'link', 'set', 'lo', 'up');
}

/** Drops packets to `address`, or has the machine itself reject them. */
export function route(kind: 'blackhole' | 'unreachable' | 'prohibit', address: string): void {
  run('ip', 'route', 'replace', kind, address);
}

/** Forgets the route again: without any, an address that is not of this machine is out of reach. */
export function unroute(address: string): void {
  run('ip', 'route', 'del', address);
}

/** Gives this machine another address. */
export function assign(address: string): void {
  run('ip', 'address', 'replace', `${address}/32`, 'dev', 'lo');
}

/** Removes it. A server that listens there keeps listening, out of reach. */
export function unassign(address: string): void {
  run('ip', 'address', 'del', `${address}/32`, 'dev', 'lo');
}

/** How many packets of TCP were sent more than once in this network. */
export function sentAgain(): number {
  const [names = [], figures = []] = readFileSync('/proc/self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '));
  return Number(figures[names.indexOf('RetransSegs')]);
}

function rule(port: number, way: Way, verdict: string): void {
  prepare();
  if (way !== 'from') run('nft', `add rule inet faults input tcp dport ${port} ${verdict}`);
  if (way !== 'to') run('nft', `add rule inet faults input tcp sport ${port} ${verdict}`);
}

/** On the input side: what is dropped on the output side is an error of the sender's, not a silence. */
function prepare(): void {
  run('nft', 'add table inet faults; add chain inet faults input { type filter hook input priority 0; }');
}

function tune(name: string, value: string): void {
  insist();
  const file = `/proc/sys/net/ipv4/${name}`;
  writeFileSync(file, value);
  const got = readFileSync(file, 'utf8').trim().replace(/\s+/g, ' ');
  if (got !== value) throw new Error(`${name} is ${got} and not ${value}`);
}

/** The lines that `ss` prints, less the header. */
function lines(...args: readonly string[]): string[] {
  return run('ss', '-H', '-n', ...args)
    .split('\n')
    .filter(Boolean);
}

function run(program: string, ...args: readonly string[]): string {
  insist();
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What is done here must never be done to the network of the machine. */
function insist(): void {
  const outside = process.env[OUTSIDE];
  if (outside === undefined || !/^net:\[\d+\]$/.test(outside) || outside === network()) {
    throw new Error('Faults of the kernel are for private networks only: use `runInNamespace`');
  }
}
