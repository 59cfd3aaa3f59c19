import type { Contest, Figures } from '../contest';
import type { Client, SlicesTask } from '../client/slices';
import { type Lab, again, alike, apart, connman, shaped, socket } from '../lab';

const LOAD = { clients: 256, wait: 10 };
const COLD = 2_000;

/** Sessions that are opened and lost, over and over. */
export function cycle(lab: Lab): Contest[] {
  const clients: Client[] = [
    socket,
    again(socket),
    shaped,
    alike,
    connman,
    ...lab.ours(),
    ...lab.ours(', in a pool', { client: 'pooled' }),
  ];
  const columns = [{ figure: 'cpu', title: 'CPU µs/cycle' }];
  const title = `${LOAD.clients} clients whose sessions are reset when they open, and that dial again ${LOAD.wait} ms later`;
  const cold: Omit<SlicesTask, 'address' | 'clients'> = {
    work: 'slices',
    kind: 'cycle',
    load: { ...LOAD, cycles: Math.max(LOAD.clients, lab.scaled(COLD)) },
    slices: 1,
    warmUp: { time: 0, units: 0 },
  };
  return [
    lab.sliced(
      { subject: 'cycle', name: 'warm', title, note: 'After 10,000 cycles each.', columns, share: 0.6 },
      clients,
      { kind: 'cycle', load: { ...LOAD, cycles: 1_000 }, slices: 12, least: 10_000 },
    ),
    apart(
      { subject: 'cycle', name: 'cold', title: `the first ${COLD} cycles of a process`, columns },
      clients,
      async (client) => {
        const found = await lab.measure<Record<string, Figures>>({ ...cold, clients: [client] });
        return found[client.name]!;
      },
    ),
  ];
}
