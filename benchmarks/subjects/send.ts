import type { SendTask, Sent } from '../client/send';
import type { Who } from '../client/task';
import type { Contest, Entrant, Figures } from '../contest';
import { type Lab, peers } from '../lab';

/** Milliseconds. */
const WARM_UP = 120;
const DURATION = 200;

/** Sizes of messages, and how many of them there are in a tick. */
const LOADS: readonly (readonly [size: number, perTicks: readonly number[]])[] = [
  [64, [1, 2, 10, 100, 1000]],
  [1_024, [1, 10, 100]],
  [65_536, [1, 10]],
];

/** What goes out. */
export function send(lab: Lab): Contest[] {
  return LOADS.flatMap(([size, perTicks]) => perTicks.map((perTick) => contest(lab, size, perTick)));
}

function contest(lab: Lab, size: number, perTick: number): Contest {
  const run = async (who: Who, form: SendTask['form'] = 'buffer') => {
    const [warmUp, duration] = [lab.warmUp(WARM_UP), lab.scaled(DURATION)];
    return sending(await lab.measure<Flow>({ work: 'send', size, perTick, form, warmUp, duration, ...who }));
  };
  const bare = { client: 'bare' } as const;
  const entrants: Entrant[] = [{ name: 'net.Socket', run: () => run(bare) }];
  if (size === 64) {
    entrants.push({ name: 'net.Socket, strings', run: () => run(bare, 'string') });
    entrants.push({ name: 'net.Socket, callbacks', run: () => run(bare, 'callback') });
  }
  entrants.push({ name: 'net.Socket, corked by hand', run: () => run({ client: 'corked' }) });
  for (const { name, who } of lab.ours()) {
    entrants.push({ name, run: () => run(who) });
    if (size === 64) {
      entrants.push({ name: `${name}, strings`, run: () => run(who, 'string') });
      entrants.push({ name: `${name}, callbacks`, run: () => run(who, 'callback') });
    }
  }
  if (size === 64) entrants.push(...peers.map(({ name, client }) => ({ name, run: () => run({ client }) })));
  entrants.push({ name: 'net.Socket, all in one write', run: () => run(bare, 'prebuilt') });

  return {
    subject: 'send',
    name: `${perTick}x${size}`,
    title: `${perTick} × ${size} bytes in a tick`,
    columns: [
      { figure: 'rate', title: 'messages/s' },
      { figure: 'cpu', title: 'CPU µs/message' },
      { figure: 'writes', title: 'system calls a tick', isCompared: false },
    ],
    entrants,
  };
}

type Flow = Sent & Figures;

function sending({ messages, bytes, ticks, writes, wall, user, system }: Sent): Figures {
  const found = { rate: (messages / wall) * 1e6, cpu: (user + system) / messages, messages, bytes };
  return writes === undefined ? found : { ...found, writes: writes / ticks };
}
