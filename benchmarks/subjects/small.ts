import { smallWorks } from '../client/small';
import type { Contest, Figures } from '../contest';
import type { Lab } from '../lab';

/** Milliseconds. */
const TIME = 200;

/** Work that is too short to be measured from outside. */
export function small(lab: Lab): Contest[] {
  return lab.ours().map(({ name, library }) => ({
    subject: 'small',
    name,
    title: `Small work, ${name}`,
    columns: [{ figure: 'time', title: 'ns', isCompared: false }],
    entrants: smallWorks.map((what) => ({
      name: what,
      run: () => {
        const task = JSON.stringify({ work: 'small', what, library, time: lab.scaled(TIME) });
        return lab.run<Figures>([process.execPath, lab.script('client/process'), task]);
      },
    })),
  }));
}
