import type { Client } from '../client/slices';
import type { Contest } from '../contest';
import { type Lab, again } from '../lab';

/** Work that is too short to be measured from outside. */
export function small(lab: Lab): Contest[] {
  const heading = { subject: 'small', columns: [{ figure: 'cpu', title: 'CPU µs' }], share: 0.6 } as const;
  const emit: Client = { name: "node's emit", client: 'bare', what: 'node emit' };
  const loop: Client = { name: 'a plain loop over 3', client: 'bare', what: 'plain loop', members: 3 };
  return [
    lab.sliced(
      { ...heading, name: 'emit', title: 'an event with one listener, and one that a second emitter emits again' },
      [
        emit,
        again(emit),
        { ...emit, name: "node's emit, re-emitted", what: 'node hop' },
        ...lab.ours('', { what: 'emit' }),
        ...lab.ours(', to a pool', { what: 'hop' }),
      ],
      { kind: 'small', load: { calls: 300_000 }, slices: 24 },
    ),
    lab.sliced(
      { ...heading, name: 'pick', title: 'the next open member of a pool, in turn; the loop tests a property of each' },
      [
        loop,
        again(loop),
        { ...loop, name: 'a plain loop over 1000', members: 1_000 },
        ...lab.ours(', 3 members', { what: 'pick', members: 3 }),
        ...lab.ours(', 1000 members', { what: 'pick', members: 1_000 }),
      ],
      { kind: 'small', load: { calls: 100_000 }, slices: 24 },
    ),
  ];
}
