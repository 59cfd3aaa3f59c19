import { inNamespace, namespacesMissing } from '../../__tests__/kit/namespace';
import type { Named } from '../client/task';
import type { Column, Contest, Figures, Heading } from '../contest';
import { type Lab, again, connman } from '../lab';
import type { Recovery, RecoveryRun } from '../recovery/process';

/** Milliseconds without a server. */
const OUTAGE = 1_000;

/** The sessions before the second outage last longer than `minUptime`, those before the third do not. */
const PAUSES = [0, 5_500, 1_000];

/** A run takes half a minute. */
const SHARE = 0.4;

const columns: readonly Column[] = [
  { figure: 'all', title: 'ms until all are served' },
  { figure: 'most', title: 'ms until 99 % are' },
  { figure: 'cpu', title: 'CPU ms' },
  { figure: 'lost', title: 'never served', isCompared: false },
  { figure: 'attempts', title: 'dials each', isCompared: false },
  { figure: 'repeated', title: 'SYNs sent again', isCompared: false },
];

/** A server that is killed under its clients, and comes back: three times in the life of a process. */
export function recovery(lab: Lab): Contest[] {
  const pooled = lab.ours(', in a pool', { client: 'pooled' });
  return [
    ...outages(lab, 1_000, [connman, again(connman), ...lab.ours(), ...pooled]),
    ...outages(lab, 5_000, [connman, again(connman), ...pooled]),
  ];
}

/** A table for each outage. A run has all outages: what the first table has measured, the others take from it. */
function outages(lab: Lab, usual: number, clients: readonly Named[]): Contest[] {
  const count = lab.scaled(usual);
  const titles: readonly Pick<Heading, 'name' | 'title' | 'columns'>[] = [
    { name: 'first', title: 'the first outage of a process, cold', columns },
    { name: 'second', title: 'the second outage, after sessions that outlasted `minUptime`', columns },
    {
      name: 'soon',
      title: 'the third outage, 1 s after all were back: within `minUptime`',
      columns: [{ figure: 'multiple', title: 'all served, × the outage before', isCompared: false }, ...columns],
    },
  ];
  const last = new Map<string, { readonly found: readonly Figures[]; readonly taken: Set<number> }>();
  return titles.map(({ name, title, columns: own }, outage) => ({
    subject: 'recovery',
    name: `${usual}-${name}`,
    title: `${count} connections, ${title}`,
    columns: own,
    entrants: clients.map((client) => client.name),
    share: SHARE,
    measure: async ([entrant = '']) => {
      let run = last.get(entrant);
      if (run === undefined || run.taken.has(outage)) {
        run = {
          found: await measure(
            lab,
            clients.find((each) => each.name === entrant)!,
            count,
          ),
          taken: new Set(),
        };
        last.set(entrant, run);
      }
      run.taken.add(outage);
      return { [entrant]: run.found[outage]! };
    },
  }));
}

async function measure(lab: Lab, client: Named, count: number): Promise<Figures[]> {
  const run: RecoveryRun = { ...client, count, outage: OUTAGE, pauses: PAUSES };
  const command = [process.execPath, lab.script('recovery/process'), JSON.stringify(run)];
  const found = await lab.run<Recovery[]>(namespacesMissing() === undefined ? inNamespace(command) : command);
  return found.map((recovered, index): Figures => {
    const { all = Infinity, most = Infinity, half = Infinity } = recovered;
    const before = found[index - 1]?.all ?? Infinity;
    return { ...recovered, half, most, all, ...(index > 0 && { multiple: all / before }) };
  });
}
