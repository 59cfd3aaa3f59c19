import type { SendTask } from '../client/send';
import type { Contest } from '../contest';
import { type Lab, type Named, corked, entrants, peers, socket } from '../lab';

/** Milliseconds. */
const WARM_UP = 120;
const DURATION = 200;

/** Sizes of messages, and how many of them are sent in a tick. */
const LOADS: readonly (readonly [size: number, perTicks: readonly number[]])[] = [
  [64, [1, 2, 10, 100, 1000]],
  [1_024, [1, 10, 100]],
  [65_536, [1, 10]],
];

type Sender = Named & { readonly form?: SendTask['form'] };

/** Sending. */
export function send(lab: Lab): Contest[] {
  const all: Sender = { ...socket, name: 'net.Socket, all in one write', form: 'prebuilt' };
  const few: Sender[] = [socket, corked, ...lab.ours(), all];
  const many: Sender[] = [...inForms(socket), corked, ...lab.ours().flatMap(inForms), ...peers, all];
  return LOADS.flatMap(([size, perTicks]) =>
    perTicks.map((perTick) => contest(lab, size, perTick, size === 64 ? many : few)),
  );
}

function inForms(client: Named): Sender[] {
  return [
    client,
    { ...client, name: `${client.name}, strings`, form: 'string' },
    { ...client, name: `${client.name}, callbacks`, form: 'callback' },
  ];
}

function contest(lab: Lab, size: number, perTick: number, clients: readonly Sender[]): Contest {
  return {
    subject: 'send',
    name: `${perTick}x${size}`,
    title: `${perTick} × ${size} bytes in a tick`,
    columns: [
      { figure: 'rate', title: 'messages/s' },
      { figure: 'cpu', title: 'CPU µs/message' },
      { figure: 'writes', title: 'system calls a tick', isCompared: false },
    ],
    entrants: entrants(clients, (client) => {
      const time = { warmUp: lab.warmUp(WARM_UP), duration: lab.scaled(DURATION) };
      return lab.measure({ work: 'send', size, perTick, form: 'buffer', ...time, ...client });
    }),
  };
}
