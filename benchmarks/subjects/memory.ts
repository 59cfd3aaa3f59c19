import { Child } from '../child';
import type { TlsTask } from '../client/tls';
import type { Column, Contest, Figures } from '../contest';
import { type Lab, again, alike, apart, connman, socket } from '../lab';

/** Connections at a time. */
const COUNT = 5_000;
const TLS_COUNT = 1_000;
const IDLE_COUNT = 100;
const MIB = 1_048_576;

/** They hardly differ from one round to the next. */
const SHARE = 0.4;

const opening: readonly Column[] = [
  { figure: 'heap', title: 'bytes of heap' },
  { figure: 'resident', title: 'bytes resident' },
  { figure: 'cpu', title: 'CPU µs to open one' },
];

/** The memory that connections take. */
export function memory(lab: Lab): Contest[] {
  const heading = { subject: 'memory', share: SHARE } as const;
  const count = Math.max(500, lab.scaled(COUNT));
  const eachOptions = lab.ours(', an options object each', { own: { options: true } });
  const pooled = lab.ours(', in a pool', { client: 'pooled' });
  const pooledApart = lab.ours(', in a pool, a target each', { client: 'pooled', own: { target: true } });
  return [
    apart(
      {
        ...heading,
        name: 'open',
        title: `${count} open connections, four listeners each: for each connection`,
        note: 'Unless it says otherwise, all have the same options object, the same target, and the same functions as listeners: for open, data, reset, backoff (a bare socket: connect, data, error, close).',
        columns: opening,
      },
      [
        socket,
        again(socket),
        alike,
        { ...socket, name: 'net.Socket, four functions each', own: { listeners: true } },
        ...lab.ours(),
        ...eachOptions,
        ...lab.ours(', a target each', { own: { target: true } }),
        ...lab.ours(', four functions each', { own: { listeners: true } }),
        ...lab.ours(', an options object and four functions each', { own: { options: true, listeners: true } }),
        ...pooled,
        ...pooledApart,
        connman,
      ],
      (client) => lab.measure({ ...client, work: 'memory', count }),
    ),
    apart(
      {
        ...heading,
        name: 'waiting',
        title: `${count} connections that have lost their sessions and wait: for each connection`,
        columns: opening.slice(0, 2),
      },
      [connman, again(connman), socket, ...lab.ours(), ...eachOptions, ...pooled],
      (client) => lab.measure({ ...client, work: 'memory', count, isWaiting: true }),
    ),
    apart(
      {
        ...heading,
        name: 'idle',
        title: `${IDLE_COUNT} connections that are idle after they have received 1 MiB each: for each connection`,
        columns: [{ figure: 'buffers', title: 'bytes of array buffers', isCompared: false }],
      },
      [socket, again(socket), ...lab.ours(), ...lab.ours(', reuseReadBuffer', { options: { reuseReadBuffer: true } })],
      (client) => lab.measure({ ...client, work: 'memory', count: IDLE_COUNT, flood: MIB }),
    ),
    tls(lab),
  ];
}

type TlsClient = Pick<TlsTask, 'client' | 'library'> & { readonly name: string };

function tls(lab: Lab): Contest {
  const count = Math.max(50, lab.scaled(TLS_COUNT));
  const shared: TlsClient = { name: 'tls.connect, one secure context', client: 'bare, shared context' };
  const ours = lab.ours().map(({ name, library = '' }): TlsClient => ({ name, client: 'ours', library }));
  const own: TlsClient = { name: 'tls.connect, a secure context each', client: 'bare, own context' };
  return apart(
    {
      subject: 'memory',
      name: 'tls',
      title: `${count} TLS connections with the same authority: for each connection`,
      note: 'Each of ours is constructed with options of its own and opened later. Secure contexts are counted for all together.',
      columns: [
        { figure: 'contexts', title: 'secure contexts', isCompared: false },
        { figure: 'making', title: 'CPU ms to construct one', isCompared: false },
        { figure: 'made', title: 'bytes of heap, constructed', isCompared: false },
        ...opening,
      ],
      share: SHARE,
    },
    [shared, again(shared), own, ...ours],
    async (client) => {
      const server = new Child([process.execPath, lab.script('peer/tls-server')]);
      try {
        // `as`: printed by the server.
        const { port, ca } = JSON.parse(await server.line()) as { port: number; ca: string };
        const address = { port, host: '127.0.0.1' };
        return await lab.run<Figures>(lab.client({ ...client, work: 'tls', count, address, ca } satisfies TlsTask));
      } finally {
        await server.kill();
      }
    },
  );
}
