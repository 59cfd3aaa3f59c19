import type { Client } from '../client/slices';
import type { Contest, Figures } from '../contest';
import { type Lab, again } from '../lab';

const heading = { subject: 'small', columns: [{ figure: 'cpu', title: 'CPU µs' }], share: 0.6 } as const;

/** Work that is too short to be measured from outside. */
export function small(lab: Lab): Contest[] {
  const emit: Client = { name: "node's emitter", client: 'bare', what: 'node emit' };
  const loop: Client = { name: 'a plain loop over 3', client: 'bare', what: 'plain loop', members: 3 };
  return [
    lab.sliced(
      { ...heading, name: 'emit', title: 'an event with one listener' },
      [emit, again(emit), ...lab.ours('', { what: 'emit' })],
      { kind: 'small', load: { calls: 300_000 }, slices: 24 },
    ),
    hop(lab),
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

/** A row is the difference of two clients: one with a second emitter, and one without. */
function hop(lab: Lab): Contest {
  const node: Client = { name: "node's emitter", client: 'bare' };
  const pairs = [node, again(node), ...lab.ours()].map((row) => {
    const isOurs = row.client === 'ours';
    const without: Client = { ...row, name: `${row.name}, without`, what: isOurs ? 'connection' : 'once' };
    const both: Client = { ...row, what: isOurs ? 'pool' : 'twice' };
    return { name: row.name, without, with: both };
  });
  const contest = lab.sliced(
    {
      ...heading,
      name: 'hop',
      title: 'what a pool adds to a `data` event, beside a second emitter of Node’s',
      note: 'Each figure is the difference of two: the event comes from a stream, and is emitted by one emitter or by two.',
    },
    pairs.flatMap((pair) => [pair.without, pair.with]),
    { kind: 'small', load: { calls: 100_000 }, slices: 24 },
  );
  return {
    ...contest,
    entrants: pairs.map(({ name }) => name),
    measure: async (names) => {
      const chosen = pairs.filter(({ name }) => names.includes(name));
      const found = await contest.measure(chosen.flatMap((pair) => [pair.without.name, pair.with.name]));
      const cpu = ({ name }: Client) => found[name]!['cpu']!;
      return Object.fromEntries(
        chosen.map((pair): [string, Figures] => [pair.name, { cpu: cpu(pair.with) - cpu(pair.without) }]),
      );
    },
  };
}
