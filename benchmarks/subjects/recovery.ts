import { inNamespace, namespacesMissing } from '../../__tests__/kit/namespace';
import type { Contest, Figures } from '../contest';
import { type Lab, type Named, entrants } from '../lab';
import type { Recovery, RecoveryRun } from '../recovery/process';

const COUNTS = [1_000, 5_000];

/** Milliseconds. */
const OUTAGE = 1_000;

/** Each takes seconds. */
const ROUNDS = 3;

/** A server that is killed under its clients, and comes back. */
export function recovery(lab: Lab): Contest[] {
  const isPrivate = namespacesMissing() === undefined;
  const clients: Named[] = [
    { name: 'connman', client: 'connman' },
    { name: 'net.Socket, dialling again at once', client: 'bare' },
    { name: 'reconnect-net', client: 'reconnectNet' },
    ...lab.ours(),
    ...lab.pooled(),
  ];
  return COUNTS.map((usual): Contest => {
    const count = lab.scaled(usual);
    return {
      subject: 'recovery',
      name: String(usual),
      title: `${count} connections of a process, whose server is killed and started again ${OUTAGE} ms later`,
      columns: [
        { figure: 'half', title: 'ms until 50 % are served', isCompared: false },
        { figure: 'most', title: '99 %' },
        { figure: 'all', title: '100 %' },
        { figure: 'lost', title: 'never served', isCompared: false },
        { figure: 'attempts', title: 'dials a connection', isCompared: false },
        { figure: 'peak', title: 'most dials/s', isCompared: false },
        { figure: 'repeated', title: 'SYNs sent again', isCompared: false },
        { figure: 'cpu', title: 'CPU ms' },
      ],
      rounds: ROUNDS,
      entrants: entrants(clients, async (client) => {
        const run: RecoveryRun = { ...client, count, outage: OUTAGE };
        const command = [process.execPath, lab.script('recovery/process'), JSON.stringify(run)];
        const found = await lab.run<Recovery & Figures>(isPrivate ? inNamespace(command) : command);
        return { half: Infinity, most: Infinity, all: Infinity, ...found };
      }),
    };
  });
}
