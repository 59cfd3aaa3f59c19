import type { Duplex } from 'node:stream';

import { HedgedDial } from '../../lib/attempt/hedged-dial';
import { type Transport, ignore, clearHandler } from '../../lib/socket/transport';
import { ScriptedLink, pass, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** A dial whose first socket gets no answer. */
class Dial {
  readonly links: ScriptedLink[] = [];
  readonly heard: string[] = [];
  connected: Transport | undefined;
  /** In each grant. */
  slowAfter: number | undefined = 30;
  /** Whether another socket may be opened at once. */
  mayOpen = true;
  grant: () => void = ignore;
  ref = true;
  isBroken = false;
  /** Called while a socket is opened, as a `lookup` is. */
  onOpen: () => void = ignore;
  readonly #open = (): Transport => {
    if (this.isBroken) throw new Error('no');
    this.onOpen();
    const link = new ScriptedLink(new AbortController().signal);
    this.links.push(link);
    const duplex: Duplex = link;
    return duplex;
  };

  hedge(slowAfter = 30): HedgedDial {
    return new HedgedDial({
      slowAfter,
      ref: this.ref,
      acquire: () =>
        new Promise((resolve) => {
          this.heard.push('slow');
          this.grant = () => resolve({ ok: true, slowAfter: this.slowAfter });
          if (this.mayOpen) this.grant();
        }),
      open: this.#open,
      onConnect: (second) => {
        clearHandler(second);
        this.connected = second;
        this.heard.push('connected');
      },
      onError: (error) => this.heard.push(error.message),
    });
  }
}

it('opens another socket when the first is slow, and no sooner', async () => {
  const dial = new Dial();
  const hedge = dial.hedge(29.5);
  await pass(29);
  expect(dial.links).toHaveLength(0);
  await pass(1);
  expect([dial.links.length, dial.heard]).toEqual([1, ['slow']]);
  hedge.clear();
});

it('replaces the second socket when that is slow too', async () => {
  const dial = new Dial();
  dial.hedge();
  await pass(30);
  dial.slowAfter = 100;
  await pass(30);
  expect(dial.links.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  await pass(99);
  expect(dial.links).toHaveLength(2);
  await pass(1);
  dial.links[1]?.connect();
  expect(dial.links.map(({ destroyed }) => destroyed)).toEqual([true, true, false]);
  dial.links[2]?.connect();
  expect([dial.heard.at(-1), dial.connected === dial.links[2]]).toEqual(['connected', true]);
  await pass(1_000);
  expect([dial.links.length, jest.getTimerCount()]).toEqual([3, 0]);
});

it('opens another only when it is granted, and keeps the one before until then', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  await pass(30);
  dial.mayOpen = false;
  await pass(30);
  expect([dial.heard, dial.links.length]).toEqual([['slow', 'slow'], 1]);
  await pass(1_000);
  expect([dial.heard.length, dial.links[0]?.destroyed]).toEqual([2, false]);
  dial.grant();
  await pass(0);
  expect(dial.links.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  await pass(30);
  hedge.clear();
  dial.grant();
  await pass(0);
  expect([dial.links.length, jest.getTimerCount()]).toEqual([2, 0]);
});

it('opens no third where nothing is known of how long it takes', async () => {
  const dial = new Dial();
  dial.slowAfter = undefined;
  const hedge = dial.hedge();
  await pass(30);
  expect(jest.getTimerCount()).toBe(0);
  await pass(1_000);
  expect([dial.heard, dial.links.length]).toEqual([['slow'], 1]);
  hedge.clear();
});

it('hands the second socket over as soon as it connects, and leaves it alone from then on', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  await pass(30);
  dial.links[0]?.connect();
  expect([dial.heard, dial.connected === dial.links[0]]).toEqual([['slow', 'connected'], true]);
  hedge.clear();
  expect(dial.links[0]?.destroyed).toBe(false);
  dial.links[0]?.fail();
  await pass(1);
  expect(dial.heard).toEqual(['slow', 'connected']);
});

it('opens nothing when the first connects in time, and keeps no timer', async () => {
  const dial = new Dial();
  dial.hedge().clear();
  expect(jest.getTimerCount()).toBe(0);
  await pass(30);
  expect(dial.links).toHaveLength(0);
});

it('destroys the second socket when the first connects after all, and ignores its events', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  await pass(30);
  hedge.clear();
  hedge.clear();
  expect(dial.links[0]?.destroyed).toBe(true);
  dial.links[0]?.emit('error', new Error('late'));
  dial.links[0]?.connect();
  await pass(100);
  expect(dial.heard).toEqual(['slow']);
});

it('reports that the second socket was refused', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  await pass(30);
  dial.links[0]?.fail('ECONNREFUSED');
  await pass(1);
  expect(dial.heard).toEqual(['slow', 'scripted ECONNREFUSED']);
  hedge.clear();
});

it.each(['EMFILE', 'EADDRINUSE', 'EADDRNOTAVAIL'])(
  'goes on with the first when the second fails for a local reason (%s)',
  async (code) => {
    const dial = new Dial();
    const hedge = dial.hedge();
    await pass(30);
    dial.links[0]?.fail(code);
    await pass(100);
    expect([dial.heard, dial.links.length]).toEqual([['slow'], 1]);
    hedge.clear();
  },
);

it('goes on with the first when opening another throws', async () => {
  const dial = new Dial();
  dial.isBroken = true;
  const hedge = dial.hedge();
  await pass(100);
  expect([dial.heard, jest.getTimerCount()]).toEqual([['slow'], 0]);
  hedge.clear();
});

it('destroys a second socket when the attempt ends while it is opened', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  dial.onOpen = () => hedge.clear();
  await pass(100);
  expect(dial.links.map(({ destroyed }) => destroyed)).toEqual([true]);
  expect(jest.getTimerCount()).toBe(0);
});

it.each([true, false])('refs the second socket as the first: %s', async (ref) => {
  const dial = new Dial();
  dial.ref = ref;
  const hedge = dial.hedge();
  await pass(30);
  expect(dial.links[0]?.referenced).toBe(ref);
  hedge.setRef(!ref);
  expect(dial.links[0]?.referenced).toBe(!ref);
  hedge.clear();
});

it('passes on a change of ref while it waits', async () => {
  const dial = new Dial();
  const hedge = dial.hedge();
  hedge.setRef(false);
  await pass(30);
  expect(dial.links[0]?.referenced).toBe(false);
  dial.links[0]?.on('error', ignore);
  hedge.clear();
});
