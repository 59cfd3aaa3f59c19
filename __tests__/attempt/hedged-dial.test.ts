import type { Duplex } from 'node:stream';

import { type HedgeHost, HedgedDial } from '../../lib/attempt/hedged-dial';
import { type Transport, ignore, clearHandler } from '../../lib/socket/transport';
import { ScriptedLink, pass, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** Someone whose first socket goes unanswered. */
class Host implements HedgeHost {
  readonly links: ScriptedLink[] = [];
  readonly heard: string[] = [];
  won: Transport | undefined;
  patience: number | undefined = 30;
  /** Whether another may be opened at once. */
  mayOpen = true;

  onOverdue(): boolean {
    this.heard.push('overdue');
    return this.mayOpen;
  }

  openOther(): Transport {
    const link = new ScriptedLink(new AbortController().signal);
    this.links.push(link);
    const duplex: Duplex = link;
    return duplex;
  }

  onWin(other: Transport): void {
    clearHandler(other);
    this.won = other;
    this.heard.push('won');
  }

  onRefused(error: Error): void {
    this.heard.push(error.message);
  }
}

it('opens another socket when its patience is over, and no sooner', async () => {
  const host = new Host();
  host.patience = 29.5;
  const hedge = new HedgedDial(true, host);
  await pass(29);
  expect(host.links).toHaveLength(0);
  await pass(1);
  expect([host.links.length, host.heard]).toEqual([1, ['overdue']]);
  hedge.clear();
});

it('puts another in the place of one that has had no answer in its time either', async () => {
  const host = new Host();
  new HedgedDial(true, host);
  await pass(30);
  host.patience = 100;
  await pass(30);
  expect(host.links.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  await pass(99);
  expect(host.links).toHaveLength(2);
  await pass(1);
  host.links[1]?.connect();
  expect(host.links.map(({ destroyed }) => destroyed)).toEqual([true, true, false]);
  host.links[2]?.connect();
  expect([host.heard.at(-1), host.won === host.links[2]]).toEqual(['won', true]);
  await pass(1_000);
  expect([host.links.length, jest.getTimerCount()]).toEqual([3, 0]);
});

it('opens another only when it is told that it may, and leaves the one before alone until then', async () => {
  const host = new Host();
  const hedge = new HedgedDial(true, host);
  await pass(30);
  host.mayOpen = false;
  await pass(30);
  expect([host.heard, host.links.length]).toEqual([['overdue', 'overdue'], 1]);
  await pass(1_000);
  expect([host.heard.length, host.links[0]?.destroyed]).toEqual([2, false]);
  hedge.open();
  expect(host.links.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  hedge.clear();
  hedge.open();
  expect([host.links.length, jest.getTimerCount()]).toEqual([2, 0]);
});

it('opens none where nothing is known of how long it takes', async () => {
  const host = new Host();
  host.patience = undefined;
  const hedge = new HedgedDial(true, host);
  expect(jest.getTimerCount()).toBe(0);
  hedge.clear();
  await pass(1_000);
  expect([host.heard, host.links.length]).toEqual([[], 0]);
});

it('hands the other over as soon as it connects, and has nothing to do with it any more', async () => {
  const host = new Host();
  const hedge = new HedgedDial(true, host);
  await pass(30);
  host.links[0]?.connect();
  expect([host.heard, host.won === host.links[0]]).toEqual([['overdue', 'won'], true]);
  hedge.clear();
  expect(host.links[0]?.destroyed).toBe(false);
  host.links[0]?.fail();
  await pass(1);
  expect(host.heard).toEqual(['overdue', 'won']);
});

it('opens nothing when the first has an answer in time, and holds no timer', async () => {
  const host = new Host();
  new HedgedDial(true, host).clear();
  expect(jest.getTimerCount()).toBe(0);
  await pass(30);
  expect(host.links).toHaveLength(0);
});

it('destroys the other when the first is faster after all, and hears nothing of it', async () => {
  const host = new Host();
  const hedge = new HedgedDial(true, host);
  await pass(30);
  hedge.clear();
  hedge.clear();
  expect(host.links[0]?.destroyed).toBe(true);
  host.links[0]?.emit('error', new Error('late'));
  host.links[0]?.connect();
  await pass(100);
  expect(host.heard).toEqual(['overdue']);
});

it('reports that the other was refused', async () => {
  const host = new Host();
  const hedge = new HedgedDial(true, host);
  await pass(30);
  host.links[0]?.fail('ECONNREFUSED');
  await pass(1);
  expect(host.heard).toEqual(['overdue', 'scripted ECONNREFUSED']);
  hedge.clear();
});

it.each(['EMFILE', 'EADDRINUSE', 'EADDRNOTAVAIL'])(
  'goes on with the first when this end has no other (%s)',
  async (code) => {
    const host = new Host();
    const hedge = new HedgedDial(true, host);
    await pass(30);
    host.links[0]?.fail(code);
    await pass(100);
    expect([host.heard, host.links.length]).toEqual([['overdue'], 1]);
    hedge.clear();
  },
);

it('goes on with the first when another cannot be opened at all', async () => {
  const host = new Host();
  jest.spyOn(host, 'openOther').mockImplementation(() => {
    throw new Error('no');
  });
  const hedge = new HedgedDial(true, host);
  await pass(100);
  expect([host.heard, jest.getTimerCount()]).toEqual([['overdue'], 0]);
  hedge.clear();
});

it.each([true, false])('lets the other hold the process as the first does: %s', async (held) => {
  const host = new Host();
  const hedge = new HedgedDial(held, host);
  await pass(30);
  expect(host.links[0]?.referenced).toBe(held);
  hedge.setRef(!held);
  expect(host.links[0]?.referenced).toBe(!held);
  hedge.clear();
});

it('takes over a change of mind while it waits', async () => {
  const host = new Host();
  const hedge = new HedgedDial(true, host);
  hedge.setRef(false);
  await pass(30);
  expect(host.links[0]?.referenced).toBe(false);
  host.links[0]?.on('error', ignore);
  hedge.clear();
});
