import { inNamespace, namespacesMissing } from '../../__tests__/kit/namespace';
import type { Named } from '../client/task';
import type { Column, Contest, Figures } from '../contest';
import { type Lab, again, apart, connman } from '../lab';
import type { FleetRun } from '../recovery/fleet';

/** Milliseconds for which each target is down. */
const OUTAGE = 200;

/** Long enough that the sessions outlast `minUptime`. */
const PAUSE = 5_500;

/** A run takes half a minute. */
const SHARE = 0.2;

/** A target is named by one byte. */
const MOST_TARGETS = 256;

const restarts: readonly Column[] = [
  { figure: 'target', title: 'ms until a target has all back, median' },
  { figure: 'slowest', title: 'the slowest target' },
  { figure: 'whole', title: 'ms from the first restart until all are back', isCompared: false },
  { figure: 'busiest', title: 'dials in the busiest second' },
  { figure: 'attempts', title: 'dials each', isCompared: false },
  { figure: 'open', title: 'open at the worst', isCompared: false },
  { figure: 'lost', title: 'never served', isCompared: false },
];

const costs: readonly Column[] = [
  { figure: 'cpu', title: 'CPU ms' },
  { figure: 'heap', title: 'bytes of heap each, before' },
  { figure: 'heapAfter', title: 'afterwards' },
  { figure: 'resident', title: 'KiB of RSS each' },
  { figure: 'peak', title: 'MiB of RSS, at most' },
  { figure: 'late', title: 'ms that the event loop is late, 99 of 100', isCompared: false },
  { figure: 'latest', title: 'at most', isCompared: false },
];

/** Connections of one process to many targets, all of which are restarted. */
export function fleet(lab: Lab): Contest[] {
  const { members, targets } = lab.fleet;
  if (targets > MOST_TARGETS) throw new RangeError(`Expected --targets to be at most ${MOST_TARGETS}, got ${targets}`);
  if (members < targets) throw new RangeError(`Expected --members to be at least ${targets}, got ${members}`);
  const pooled = lab.ours(', in a pool', { client: 'pooled' });
  const bare: Named = { name: 'net.Socket, redials at once', client: 'bare' };
  const clients = [connman, again(connman), bare, ...lab.ours(), ...pooled];
  const note = `Each target is down for ${OUTAGE} ms; every second one resets its sessions, the others end them.`;
  const size = `${members} connections, ${targets} targets`;
  const contest = (name: string, title: string, isRolling: boolean): Contest =>
    apart(
      { subject: 'fleet', name, title: `${size}, ${title}`, note, columns: [...restarts, ...costs], share: SHARE },
      clients,
      (client) => measure(lab, { ...client, members, targets, isRolling, outage: OUTAGE, pause: lab.scaled(PAUSE) }),
    );
  return [
    contest('rolling', 'restarted one after the other', true),
    contest('at-once', 'restarted all at once', false),
  ];
}

async function measure(lab: Lab, run: FleetRun): Promise<Figures> {
  const command = [process.execPath, lab.script('recovery/fleet'), JSON.stringify(run)];
  return revived(await lab.run<Figures>(namespacesMissing() === undefined ? inNamespace(command) : command));
}

/** JSON has no infinity, and writes it as null. */
export function revived(figures: Readonly<Record<string, number | null>>): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, value ?? Infinity]));
}
