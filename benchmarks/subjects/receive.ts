import type { Contest } from '../contest';
import { type Lab, again, socket } from '../lab';

const MIB = 1_048_576;

const fresh = { name: 'onread, a fresh 64 KiB each', client: 'freshReads' } as const;
const lent = { name: 'onread, one lent 64 KiB', client: 'lentReads' } as const;
const large = { name: 'onread, one lent 256 KiB', client: 'largeReads' } as const;

/** Receiving: as fast as possible, and in small pieces. */
export function receive(lab: Lab): Contest[] {
  const ours = [...lab.ours(), ...lab.ours(', reuseReadBuffer', { options: { reuseReadBuffer: true } })];
  const watching = lab.ours(', idleTimeout', { options: { idleTimeout: 60_000 } });
  return [
    lab.sliced(
      {
        subject: 'receive',
        name: 'bulk',
        title: 'one connection, writes of 128 KiB',
        note: '`onread` is an option of `net.Socket`, here written by hand: into new memory for each chunk, or into one buffer again and again.',
        columns: [
          { figure: 'cpu', title: 'CPU µs/MB' },
          { figure: 'rate', title: 'MB/s' },
        ],
      },
      [socket, again(socket), fresh, lent, large, ...ours],
      { kind: 'flood', load: { block: MIB / 8, bytes: 64 * MIB }, slices: 24 },
    ),
    lab.sliced(
      {
        subject: 'receive',
        name: 'small',
        title: '128 connections, segments of 64 bytes, each read by itself',
        columns: [
          { figure: 'user', title: 'user CPU µs/event' },
          { figure: 'cpu', title: 'CPU µs/event' },
          { figure: 'rate', title: 'events/s' },
        ],
      },
      [socket, again(socket), lent, ...ours, ...watching],
      { kind: 'trickle', load: { size: 64, members: 128, rounds: 60 }, slices: 30 },
    ),
  ];
}
