import { cpus, release, type } from 'node:os';

import { namespacesMissing } from '../__tests__/kit/namespace';
import { BUSY } from './machine';

/** The circumstances that figures depend on, as lines for the page. */
export function circumstances(rounds: number, load: number): string[] {
  const processors = cpus();
  const missing = namespacesMissing();
  return [
    ...(load > BUSY ? ['**on a loaded machine**: the verdicts on times and CPU are worth nothing'] : []),
    `Node ${process.versions.node} on ${type()} ${release()}, ${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    `other work before: ${(load * 100).toFixed(1)} % of the processors' time within a second`,
    `${rounds} rounds, more or fewer where a table is worth it`,
    missing === undefined
      ? 'recovery: in a private network each'
      : `recovery: in the network of the machine, so that dials of other processes count too (${missing})`,
  ];
}
