import { inNamespace, namespacesMissing } from '../../__tests__/kit/namespace';
import type { Contest } from '../contest';
import { type Lab, again, apart } from '../lab';
import type { RaceAddress, RaceRun } from '../recovery/race';
import { revived } from './fleet';

interface Racer {
  readonly name: string;
  readonly library?: string;
}

const node: Racer = { name: 'net.Socket, autoSelectFamily' };

const cases: readonly [name: string, title: string, addresses: readonly RaceAddress[], given: RaceRun['given']][] = [
  ['good', 'one good address', ['good'], {}],
  ['dead', 'a dead address, then a good one', ['dead', 'good'], {}],
  ['slow', 'a good one that takes a second, then a dead one', ['slow', 'dead'], {}],
  ['family', 'a dead one, then a good one, with `family: 4`', ['dead', 'good'], { family: 4 }],
  ['local', 'a dead one, then a good one, with `localAddress`', ['dead', 'good'], { localAddress: '127.0.0.1' }],
];

/** A name with several addresses, of which some do not answer. It takes a private network with a packet filter. */
export function race(lab: Lab): Contest[] {
  if (namespacesMissing() !== undefined) return [];
  // `library`: of `ours`, always there.
  const racers: Racer[] = [node, again(node), ...lab.ours().map(({ name, library = '' }) => ({ name, library }))];
  return cases.map(([name, title, addresses, given]) =>
    apart(
      {
        subject: 'race',
        name,
        title,
        columns: [{ figure: 'time', title: 'ms until connected', isCompared: false }],
      },
      racers,
      async ({ library }) => {
        const run: RaceRun = { ...(library !== undefined && { library }), addresses, given };
        return revived(
          await lab.run(inNamespace([process.execPath, lab.script('recovery/race'), JSON.stringify(run)])),
        );
      },
    ),
  );
}
