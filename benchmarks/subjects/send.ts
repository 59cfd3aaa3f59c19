import type { Contest } from '../contest';
import { type Lab, again, socket } from '../lab';

const corked = { name: 'net.Socket, corked by hand', client: 'corked' } as const;

/** Messages in a tick, and their size. */
const LOADS = [
  [1, 64],
  [10, 64],
  [100, 64],
  [1_000, 64],
  [1, 65_536],
] as const;

/** Sending. */
export function send(lab: Lab): Contest[] {
  return LOADS.map(([perTick, size]) =>
    lab.sliced(
      {
        subject: 'send',
        name: `${perTick}x${size}`,
        title: `${perTick} × ${size} bytes in a tick`,
        note: 'Each tick begins by `setImmediate`, also after `drain`.',
        columns: [
          { figure: 'rate', title: 'messages/s' },
          { figure: 'cpu', title: 'CPU µs/message' },
        ],
      },
      [socket, again(socket), corked, ...lab.ours()],
      { kind: 'send', load: { size, perTick, duration: 60 }, slices: 24 },
    ),
  );
}
