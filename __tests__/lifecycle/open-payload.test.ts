import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { inspect } from 'node:util';

import type { OpenInfo } from '../../lib/events/events';
import { OpenPayload } from '../../lib/lifecycle/open-payload';
import type { Transport } from '../../lib/socket/transport';
import { track } from '../kit/loopback';

const NAMES = ['localAddress', 'localPort', 'remoteAddress', 'remotePort'];

/** A payload of a socket of Node's, as far as it is one: it counts how often it is asked. */
function askable(addresses: Pick<OpenInfo, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>): {
  readonly transport: Transport;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const socket = Object.defineProperties(
    { _handle: { getpeername: () => 0 } },
    {
      ...Object.fromEntries(
        Object.entries(addresses).map(([name, value]) => [name, { get: () => (asked.push(name), value) }]),
      ),
    },
  );
  // `as`: the payload reads nothing else.
  return { transport: socket as unknown as Transport, asked };
}

const addresses = { localAddress: '127.0.0.1', localPort: 50_000, remoteAddress: '127.0.0.2', remotePort: 6379 };
const counts = { generation: 3, reopened: true, attempts: 2, downtime: 40 };

function payloadOf(transport: Transport): OpenInfo & { release(): void } {
  return new OpenPayload(transport, counts.generation, counts.reopened, counts.attempts, counts.downtime);
}

describe('OpenPayload', () => {
  it('asks the socket for its addresses when one of them is read, and remembers them', () => {
    const { transport, asked } = askable(addresses);
    const payload = payloadOf(transport);
    expect([payload.generation, asked]).toEqual([3, []]);
    expect(payload.remotePort).toBe(6379);
    const often = asked.length;
    expect({ ...payload }).toStrictEqual({ ...counts, ...addresses });
    expect(asked).toHaveLength(often);
  });

  it.each<[string, (payload: OpenInfo) => unknown]>([
    [
      'destructuring',
      ({ generation, reopened, attempts, downtime, ...rest }) => ({
        generation,
        reopened,
        attempts,
        downtime,
        ...rest,
      }),
    ],
    ['spread', (payload) => ({ ...payload })],
    ['Object.entries()', (payload) => Object.fromEntries(Object.entries(payload))],
    ['JSON', (payload) => JSON.parse(JSON.stringify(payload)) as unknown],
    ['structuredClone()', (payload) => structuredClone(payload)],
    ['itself', (payload) => payload],
  ])('gives plain values by %s', (_, read) => {
    expect(read(payloadOf(askable(addresses).transport))).toEqual({ ...counts, ...addresses });
  });

  it('is printed as a plain object', () => {
    expect(inspect(payloadOf(askable(addresses).transport))).toBe(inspect({ ...counts, ...addresses }));
  });

  it('keeps what was asked when the session is over, and knows nothing else then', () => {
    const [asked, unasked] = [payloadOf(askable(addresses).transport), payloadOf(askable(addresses).transport)];
    expect(asked.localPort).toBe(50_000);
    for (const payload of [asked, unasked]) payload.release();
    expect(asked).toEqual({ ...counts, ...addresses });
    expect(NAMES.map((name) => Reflect.get(unasked, name) as unknown)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    unasked.release();
    expect(unasked).toMatchObject(counts);
  });

  it('has no address where it is the prototype of another object', () => {
    expect(Object.create(payloadOf(askable(addresses).transport))).toHaveProperty('remotePort', undefined);
  });

  it('has those addresses of a stream that is no socket which the stream has', () => {
    const stream: Transport = Object.assign(new Duplex(), { remoteAddress: 'elsewhere' });
    expect({ ...payloadOf(stream) }).toStrictEqual({ ...counts, remoteAddress: 'elsewhere' });
    expect(Object.keys(payloadOf(new Duplex()))).toEqual(Object.keys(counts));
  });

  it('asks a socket of Node', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    // `as`: a server that listens on a port has such an address.
    const transport = track(connect((server.address() as AddressInfo).port, '127.0.0.1'));
    await once(transport, 'connect');
    server.close();
    expect({ ...payloadOf(transport) }).toStrictEqual({
      ...counts,
      localAddress: '127.0.0.1',
      localPort: transport.localPort,
      remoteAddress: '127.0.0.1',
      remotePort: transport.remotePort,
    });
    expect(Object.keys(payloadOf(connect({ path: '/nowhere' }).on('error', () => undefined)))).toEqual(
      Object.keys(counts),
    );
  });
});
