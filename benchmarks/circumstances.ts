import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, type } from 'node:os';

import { namespacesMissing } from '../__tests__/kit/namespace';

/** The circumstances that figures depend on, as lines for the head of the page. Call it before the measurements. */
export function circumstances(): string[] {
  const processors = cpus();
  const missing = namespacesMissing();
  return [
    `Node ${process.versions.node} on ${type()} ${release()}`,
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    `load before: ${loadavg()
      .map((load) => load.toFixed(2))
      .join(', ')}`,
    `peer: peer.c, compiled by ${compiler()}`,
    missing === undefined
      ? 'recovery: in a private network each'
      : `recovery: in the network of the machine, so that dials of other processes count too (${missing})`,
  ];
}

function compiler(): string {
  try {
    return execFileSync('cc', ['--version'], { encoding: 'utf8' }).split('\n')[0]!;
  } catch {
    return 'none: `cc` is missing';
  }
}
