import { libraryIn } from '../client/ours';
import type { Contest } from '../contest';
import { type Lab, again, apart } from '../lab';
import { resolved } from '../project';

/** Loading the package: many short rounds. */
export function loading(lab: Lab): Contest[] {
  const ws = { name: 'ws', path: () => resolved('ws') };
  const ours = lab.ours().map(({ name, library = '' }) => ({ name, path: () => libraryIn(library) }));
  return [
    apart(
      {
        subject: 'loading',
        name: 'require',
        title: 'the package in a fresh process, with the modules of Node that it needs',
        columns: [
          { figure: 'cpu', title: 'CPU ms' },
          { figure: 'heap', title: 'KiB of heap' },
        ],
        share: 4,
      },
      [ws, again(ws), ...ours],
      ({ path }) => lab.run([process.execPath, '--expose-gc', lab.script('client/loading'), path()]),
    ),
  ];
}
