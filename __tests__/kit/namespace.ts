import { execFileSync, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';

import { trackProcess } from './clean-up';
import { compiled } from './compiled';
import { type Exit, ending } from './processes';

/** The variable with the network in which a process must not be: see `kernel.ts`. */
export const OUTSIDE = 'NETWORK_OUTSIDE';

/** With the folders of system tools, which are on the path of root alone. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

/** Ways to make a private network; which of them works depends on the machine. */
const WAYS: readonly (readonly string[])[] = [
  ['unshare', '-Urn'],
  ['unshare', '-n'],
  ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'unshare', '-Urn'],
];

/** What the kit does in a private network, each with the tool it needs. */
const TRIALS: readonly (readonly string[])[] = [
  ['ip', 'link', 'set', 'lo', 'up'],
  ['nft', 'add table inet trial; add chain inet trial input { type filter hook input priority 0; }'],
  ['ss', '-V'],
  ['prlimit', '--version'],
  // Another user may not be allowed to read what is to be run.
  [process.execPath, '-e', `fs.readFileSync(${JSON.stringify(__filename)})`],
  [process.execPath, '-e', 'fs.writeFileSync("/proc/sys/net/ipv4/tcp_syn_retries", "6")'],
];

/** Run by Node before anything else. No file, for this kit is found in more than one place. */
const LOOPBACK_UP = `data:text/javascript,import{execFileSync}from'node:child_process';execFileSync('ip',['link','set','lo','up'])`;

let found: { readonly way: readonly string[] } | { readonly missing: string } | undefined;

/** Why there are no private networks to be had here; undefined when there are. */
export function namespacesMissing(): string | undefined {
  found ??= find();
  return 'missing' in found ? found.missing : undefined;
}

/**
 * The command that runs a command of Node's in a private network, which has a loopback interface only. Root in there has
 * no rights outside.
 *
 * @param command - the path of Node, and its arguments
 */
export function inNamespace(command: readonly string[]): string[] {
  found ??= find();
  if ('missing' in found) throw new Error(found.missing);
  const [node, ...args] = command;
  return [...found.way, 'env', `PATH=${PATH}`, `${OUTSIDE}=${network()}`, node!, '--import', LOOPBACK_UP, ...args];
}

/**
 * Runs `file` of the tests (`scenarios/kernel`, say), as JavaScript, in its own process in a private network, to its end.
 */
export async function runInNamespace(
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit> {
  const script = await compiled(file);
  const [program, ...rest] = inNamespace([process.execPath, script, ...args]);
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PATH, ...env } });
  return ending(trackProcess(child));
}

/** The network that this process is in, by its number. */
export function network(): string {
  return readlinkSync('/proc/self/ns/net');
}

function find(): NonNullable<typeof found> {
  if (process.platform !== 'linux') return { missing: `there are none on ${process.platform}` };
  const reasons = WAYS.map((way) => {
    const refusal = refusalOf([...way, 'true']);
    return { way, missing: refusal ?? TRIALS.map((trial) => refusalOf([...way, ...trial])).find(Boolean) };
  });
  const open = reasons.find(({ missing }) => missing === undefined);
  if (open !== undefined) return { way: open.way };
  return { missing: [...new Set(reasons.map(({ missing }) => missing))].join('; ') };
}

/** Why `command` fails, in one line; undefined when it does not. */
function refusalOf([program, ...args]: readonly string[]): string | undefined {
  try {
    execFileSync(program!, args, {
      env: { ...process.env, PATH },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 5_000,
    });
    return undefined;
  } catch (error) {
    // `as`: whatever it is that `execFileSync` throws, it is an Error, with what the program said.
    const { code, stderr, message } = error as NodeJS.ErrnoException & { readonly stderr?: Buffer };
    if (code === 'ENOENT') return `no ${program!}`;
    const said = stderr?.toString().trim().split('\n').at(-1);
    return said === undefined || said === '' ? message : said;
  }
}
