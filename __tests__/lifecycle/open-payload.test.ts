import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { inspect } from 'node:util';

import { ReconnectingConnection } from '../../lib';
import type { OpenInfo } from '../../lib/events/events';
import { OpenPayload } from '../../lib/lifecycle/open-payload';
import type { ResolvedTarget } from '../../lib/options/target';
import type { Transport } from '../../lib/socket/transport';
import { track } from '../kit/loopback';

/** A socket of Node's, as far as it is one: it counts how often it is asked for its peer. */
function askable(): { readonly transport: Transport; readonly asked: string[] } {
  const asked: string[] = [];
  const transport = { localAddress: '127.0.0.1', localPort: 50_000 };
  for (const [name, value] of Object.entries({ remoteAddress: '127.0.0.2', remotePort: 6379 })) {
    Object.defineProperty(transport, name, { get: () => (asked.push(name), value) });
  }
  // `as`: the payload reads nothing else.
  return { transport: transport as unknown as Transport, asked };
}

const addresses = { localAddress: '127.0.0.1', localPort: 50_000, remoteAddress: '127.0.0.2', remotePort: 6379 };
const counts = { generation: 3, reopened: true, attempts: 2, downtime: 40 };

function payloadOf(
  transport: Transport = askable().transport,
  target: ResolvedTarget = { host: '127.0.0.2', port: 6379 },
  isOwn = true,
): OpenInfo & { release(): void } {
  const { generation, reopened, attempts, downtime } = counts;
  return new OpenPayload({ transport, isOwn, target, decoder: undefined }, generation, reopened, attempts, downtime);
}

describe('OpenPayload', () => {
  it('asks the socket for its peer when that is read, and remembers the answer', () => {
    const { transport, asked } = askable();
    const payload = payloadOf(transport);
    expect([payload.generation, payload.localPort, asked]).toEqual([3, 50_000, []]);
    expect(payload.remotePort).toBe(6379);
    const often = asked.length;
    expect({ ...payload }).toStrictEqual({ ...counts, ...addresses });
    expect(asked).toHaveLength(often);
  });

  it.each<[string, (payload: OpenInfo) => unknown]>([
    ['rest parameters', ({ generation, ...rest }) => ({ generation, ...rest })],
    ['spread', (payload) => ({ ...payload })],
    ['Object.entries()', (payload) => Object.fromEntries(Object.entries(payload))],
    ['JSON', (payload) => JSON.parse(JSON.stringify(payload)) as unknown],
    ['structuredClone()', (payload) => structuredClone(payload)],
    ['itself', (payload) => payload],
  ])('gives plain values by %s', (_, read) => {
    expect(read(payloadOf())).toEqual({ ...counts, ...addresses });
  });

  it('is printed as a plain object', () => {
    expect(inspect(payloadOf())).toBe(inspect({ ...counts, ...addresses }));
  });

  it('knows after the session what was asked, and else what was dialled', () => {
    const [asked, unasked, named] = [
      payloadOf(undefined, { host: 'db.example', port: 1 }),
      payloadOf(undefined, { host: '127.0.0.9', port: 1 }),
      payloadOf(undefined, { host: 'db.example', port: 1 }),
    ];
    expect(asked.remotePort).toBe(6379);
    for (const payload of [asked, unasked, named]) payload.release();
    expect({ ...asked }).toStrictEqual({ ...counts, ...addresses });
    expect({ ...unasked }).toStrictEqual({ ...counts, ...addresses, remoteAddress: '127.0.0.9', remotePort: 1 });
    expect({ ...named }).toStrictEqual({ ...counts, ...addresses, remoteAddress: undefined, remotePort: 1 });
    unasked.release();
    expect(unasked.remotePort).toBe(1);
  });

  it('has no remote address where it is the prototype of another object', () => {
    expect(Object.create(payloadOf())).toHaveProperty('remotePort', undefined);
  });

  it("has those addresses of an application's stream which the stream has", () => {
    const stream: Transport = Object.assign(new Duplex(), { remoteAddress: 'elsewhere' });
    expect({ ...payloadOf(stream, undefined, false) }).toStrictEqual({ ...counts, remoteAddress: 'elsewhere' });
    expect(Object.keys(payloadOf(new Duplex(), undefined, false))).toEqual(Object.keys(counts));
  });

  it('has none on a Unix socket', () => {
    expect(Object.keys(payloadOf(new Duplex(), { path: '/run/a.sock' }))).toEqual(Object.keys(counts));
  });

  it('has all addresses of a connection, also when they are read after its end', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    // `as`: a server that listens on a port has such an address.
    const { port } = server.address() as AddressInfo;
    const connection = track(new ReconnectingConnection({ port, maxRetries: 0 }));
    const opened = once(connection, 'open') as Promise<[OpenInfo]>;
    await once(connection, 'close');
    server.close();
    const [info] = await opened;
    expect(info).toMatchObject({ localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', remotePort: port });
    expect(typeof info.localPort).toBe('number');
  });
});
