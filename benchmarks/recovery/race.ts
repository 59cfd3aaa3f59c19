import { once } from 'node:events';
import { type LookupFunction, connect, createServer } from 'node:net';

import { heal, silence } from '../../__tests__/kit/kernel';
import { loadLibrary } from '../client/ours';

// node race.js RUN: dials a name with several addresses, and prints as JSON how long it took. For a private network only.

export interface RaceRun {
  /** The directory of this library; undefined for Node's own `autoSelectFamily`. */
  readonly library?: string;
  /** Of the addresses, in their order: one that never answers, one that answers the second SYN after 1 s, one that answers. */
  readonly addresses: readonly RaceAddress[];
  /** What is set besides. */
  readonly given: { readonly family?: 4; readonly localAddress?: string };
}

export type RaceAddress = 'dead' | 'slow' | 'good';

/** All on the loopback interface. */
const ADDRESSES = { dead: '127.0.0.2', slow: '127.0.0.3', good: '127.0.0.4' } as const;

/** Milliseconds after which the slow address is let through: the kernel sends a SYN again after a second. */
const SLOW = 500;

/** Milliseconds after which a dial counts as never connected. */
const PATIENCE = 4_000;

async function race({ library, addresses, given }: RaceRun): Promise<object> {
  const server = createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  // `as`: it listens on a port.
  const { port } = server.address() as { port: number };
  silence(ADDRESSES.dead);
  silence(ADDRESSES.slow);
  const found = addresses.map((each) => ({ address: ADDRESSES[each], family: 4 }));
  const lookup: LookupFunction = (_name, { all }, callback) => {
    process.nextTick(() => {
      if (all === true) callback(null, found);
      else callback(null, found[0]!.address, 4);
    });
  };
  const host = 'several.test';
  setTimeout(() => {
    heal();
    silence(ADDRESSES.dead);
  }, SLOW);
  const ours = library === undefined ? undefined : loadLibrary(library);
  const since = performance.now();
  const connected = new Promise<void>((resolve) => {
    if (ours === undefined) {
      connect({ port, host, lookup, autoSelectFamily: true, ...given }, resolve).on('error', () => undefined);
    } else {
      new ours.ReconnectingConnection({ port, host, socket: { lookup, ...given } }).on('open', () => resolve());
    }
  });
  const never = new Promise<number>((resolve) => setTimeout(resolve, PATIENCE, Infinity));
  return { time: await Promise.race([connected.then(() => performance.now() - since), never]) };
}

// `as`: written by the process that started this one.
void race(JSON.parse(process.argv[2]!) as RaceRun).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
