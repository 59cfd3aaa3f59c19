import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, type } from 'node:os';

import { namespacesMissing } from '../__tests__/kit/namespace';

/** What figures depend on, as lines for the head of the page. To be asked before anything is measured. */
export function circumstances(native: boolean): string[] {
  const processors = cpus();
  const missing = namespacesMissing();
  return [
    `Node ${process.versions.node} on ${type()} ${release()}`,
    `${processors.length} × ${processors[0]?.model.trim() ?? 'a processor without a name'}`,
    `load before: ${loadavg()
      .map((load) => load.toFixed(2))
      .join(', ')}`,
    native ? `peer: peer.c, compiled by ${compiler()}` : 'peer: Node, for there is no C compiler',
    missing === undefined
      ? 'recovery: in a private network each'
      : `recovery: in the network of the machine, so the dials of others are counted too (${missing})`,
  ];
}

function compiler(): string {
  return execFileSync('cc', ['--version'], { encoding: 'utf8' }).split('\n')[0]!;
}
