import { type MemberOptions, type PoolOptions, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import { ScriptedLink, useFakeClock } from '../kit/scripted';

// How often a server is dialled that is restarted, or that accepts and hangs up, on the test's clock.

/** The steps of the clock, in milliseconds. */
const STEP = 10;

/** A server at the other end of scripted links. */
class Server {
  isUp = true;
  dials = 0;
  /** Called with every link that is accepted. */
  onAccept: (link: ScriptedLink) => void = () => undefined;
  readonly #links = new Set<ScriptedLink>();

  readonly dial: NonNullable<MemberOptions['dial']> = (_target, signal) => {
    this.dials += 1;
    const link = new ScriptedLink(signal);
    setTimeout(() => {
      if (!this.isUp) return link.fail('ECONNREFUSED');
      this.#links.add(link.connect());
      this.onAccept(link);
    }, 1);
    return link;
  };

  /** Ends all sessions, and refuses dials for so long. */
  restart(milliseconds: number): void {
    this.isUp = false;
    for (const link of this.#links) link.finish();
    this.#links.clear();
    setTimeout(() => (this.isUp = true), milliseconds);
  }
}

let connections: readonly ReconnectingConnection[] = [];

/** Connections of their own, or the members of a pool. */
function start(server: Server, count: number, pool?: PoolOptions): Server {
  const options = { port: 1, dial: server.dial };
  const members = pool && new ConnectionPool({ ...options, ...pool });
  connections = Array.from({ length: count }, () => members?.add({}) ?? new ReconnectingConnection(options));
  return server;
}

/** Lets the time pass, or a part of it: until `isOver()`. Returns how long it took. */
async function pass(milliseconds: number, isOver = () => false): Promise<number> {
  let passed = 0;
  for (; passed < milliseconds && !isOver(); passed += STEP) {
    jest.advanceTimersByTime(STEP);
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
  }
  return passed;
}

const allAreOpen = () => connections.every(({ state }) => state === 'open');

beforeEach(() => {
  useFakeClock();
  let seed = 7;
  jest.spyOn(Math, 'random').mockImplementation(() => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647);
});

afterEach(() => {
  for (const connection of connections) connection.destroy();
  jest.restoreAllMocks();
  jest.useRealTimers();
});

describe('a server that is restarted twice within `minUptime`', () => {
  const ONE_BY_ONE = { coordinateDials: false };
  test.each<[string, number, number, PoolOptions | undefined]>([
    ['a pool', 100, 1_000, {}],
    ['a pool, of a restart that few members notice', 100, 150, {}],
    ['a pool, after a long outage', 100, 5_000, {}],
    ['a pool with few dials at a time', 100, 1_000, { maxConnecting: 4 }],
    ['a pool without second sockets', 100, 1_000, { hedge: false }],
    ['a pool whose members know nothing of each other', 50, 1_000, ONE_BY_ONE],
    ['connections without a pool', 10, 1_000, undefined],
  ])('has all sessions of %s back as soon the second time', async (_title, count, outage, options) => {
    const server = start(new Server(), count, options);
    await pass(1_000, allAreOpen);
    await pass(5_000);
    const times: number[] = [];
    for (const uptime of [1_500, 0]) {
      server.restart(outage);
      await pass(outage);
      times.push(await pass(20_000, allAreOpen));
      await pass(uptime);
    }

    const [first, second] = times;
    // A wait of a connection that is alone is up to 3 s by then.
    const longest = options === undefined || options === ONE_BY_ONE ? 2_250 : 600;
    expect(first).toBeLessThan(longest);
    expect(second).toBeLessThan(longest);
  });
});

describe('a server that accepts and hangs up', () => {
  // Waits of up to 250 ms, 3 s and 8 s, and then from 6 to 8 s, or less where they are drawn below the cap.
  const DIALS = 12;
  test.each<[string, number, PoolOptions | undefined]>([
    ['a pool', 100, {}],
    ['connections without a pool', 10, undefined],
  ])('at once is dialled ever more slowly by %s', async (_title, count, options) => {
    const server = new Server();
    server.onAccept = (link) => link.finish();
    start(server, count, options);
    await pass(30_000);

    expect(server.dials).toBeLessThan(DIALS * count);
    expect(server.dials).toBeGreaterThan(4 * count);
  });

  test('after two seconds is dialled ever more slowly, though it refuses dials once', async () => {
    const server = new Server();
    server.onAccept = (link) => setTimeout(() => link.finish(), 2_000);
    start(server, 50, {});
    await pass(15_000);
    server.restart(500);
    await pass(5_000);
    const { dials } = server;
    await pass(30_000);

    // A cycle takes eight seconds.
    expect(server.dials - dials).toBeLessThan(6 * 50);
  });

  test('for it dies whenever it is started, is dialled ever more slowly', async () => {
    const server = new Server();
    let isDying = false;
    server.onAccept = () => {
      if (isDying) return;
      isDying = true;
      setTimeout(() => {
        server.restart(1_000);
        isDying = false;
      }, 100);
    };
    start(server, 100, {});
    await pass(10_000);
    const { dials } = server;
    await pass(30_000);

    expect(server.dials - dials).toBeLessThan(DIALS * 100);
  });
});
