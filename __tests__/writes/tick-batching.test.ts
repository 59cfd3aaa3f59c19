import asyncHooks, { AsyncResource } from 'node:async_hooks';

import { type Place, Turns } from '../../lib/writes/tick-batching';

/** Calls `task` in a turn, and a scope, of its own. What the turn has put off is done by then. */
async function inTurn<T>(task: () => T): Promise<T> {
  return new Promise((resolve) => setImmediate(() => resolve(task())));
}

function inScope<T>(task: () => T): T {
  return new AsyncResource('Scope').runInAsyncScope(task);
}

function start(): { turns: Turns; ends: () => number; add: (count?: number) => Place[] } {
  let ends = 0;
  const onTurnEnd = () => {
    ends += 1;
  };
  const turns = new Turns({ onTurnEnd });
  return {
    turns,
    ends: () => ends,
    add: (count = 1) => Array.from({ length: count }, () => turns.add()),
  };
}

afterEach(() => jest.restoreAllMocks());

describe('in scopes that differ', () => {
  it('the first write of each turn is alone, and nothing is put off', async () => {
    const { ends, add } = start();
    for (let turn = 1; turn < 16; turn++) expect(await inTurn(add)).toEqual(['lone']);
    expect(ends()).toBe(0);
  });

  it('one turn in sixteen is made sure of', async () => {
    const { ends, add } = start();
    const places: Place[] = [];
    for (let turn = 1; turn <= 33; turn++) places.push(...(await inTurn(add)));
    const checked = places.flatMap((place, index) => (place === 'lone' ? [] : [index]));
    expect(checked).toEqual([15, 31]);
    expect(places[15]).toBe('later');
    expect(ends()).toBe(2);
  });

  it('what comes behind the first waits for the end of the turn, which is told once', async () => {
    const { ends, add } = start();
    expect(await inTurn(() => add(3))).toEqual(['lone', 'later', 'later']);
    await inTurn(() => undefined);
    expect(ends()).toBe(1);
  });

  it('the first waits too, when the turn before brought several, and no longer when that brought but one', async () => {
    const { add } = start();
    await inTurn(() => add(2));
    expect(await inTurn(add)).toEqual(['later']);
    expect(await inTurn(add)).toEqual(['lone']);
  });

  it('a scope is no turn once something was put off in this one', async () => {
    const { ends, add } = start();
    expect(await inTurn(() => [...add(2), ...inScope(add), ...inScope(add)])).toEqual([
      'lone',
      'later',
      'later',
      'later',
    ]);
    await inTurn(() => undefined);
    expect(ends()).toBe(1);
  });

  it('many of one turn are soon found out, and the next turn’s are expected', async () => {
    const { add } = start();
    const burst = () => Array.from({ length: 20 }, () => inScope(add)).flat();
    const places = await inTurn(burst);
    expect(places.indexOf('later')).toBe(15);
    expect(places.slice(15)).toEqual(places.slice(15).map(() => 'later'));
    expect(new Set(await inTurn(burst))).toEqual(new Set(['later']));
  });
});

describe('in one scope', () => {
  it('a later turn’s first is known as such when the turn was ended, and only then', async () => {
    const { turns, ends, add } = start();
    const scope = new AsyncResource('Interval');
    const next = async () => inTurn(() => scope.runInAsyncScope(add));
    expect(await next()).toEqual(['lone']);
    expect(await next()).toEqual(['later']);
    // Two came, for all that is known; so more are expected.
    expect(await next()).toEqual(['later']);
    expect(await next()).toEqual(['first']);
    turns.end();
    expect(await next()).toEqual(['first']);
    expect(await next()).toEqual(['later']);
    expect(ends()).toBe(3);
  });

  it('promises have none that tells anything', () => {
    const { turns, add } = start();
    // So it is while nobody watches promises, as jest does.
    jest.spyOn(asyncHooks, 'executionAsyncId').mockReturnValue(0);
    for (let turn = 0; turn < 20; turn++) {
      expect(add()).toEqual(['first']);
      turns.end();
    }
  });

  it('a promise may be of the turn that another scope began', () => {
    const { add } = start();
    expect(add()).toEqual(['lone']);
    jest.spyOn(asyncHooks, 'executionAsyncId').mockReturnValue(0);
    expect(add()).toEqual(['later']);
  });

  it('a turn that ends by itself is not ended before', async () => {
    const { turns, add } = start();
    await inTurn(() => {
      add(2);
      turns.end();
      expect(add()).toEqual(['later']);
    });
  });
});

test('the first of several that were announced waits', async () => {
  const { turns, add, ends } = start();
  turns.expectMore();
  expect(await inTurn(add)).toEqual(['later']);
  expect(await inTurn(add)).toEqual(['lone']);
  expect(ends()).toBe(1);
});
