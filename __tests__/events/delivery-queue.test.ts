import * as fc from 'fast-check';

import { DeliveryQueue } from '../../lib/events/delivery-queue';
import { Emitter } from '../../lib/events/emitter';
import { type Heard, names, record } from '../kit/record';

type Events = {
  one: (value?: unknown) => void;
  two: (value?: unknown) => void;
  three: (value?: unknown) => void;
};

/** An announcer whose events are heard by two, one of them in front of all other listeners and one behind them. */
class Stage {
  readonly emitter = new Emitter<Events>();
  readonly announcer = new DeliveryQueue<Events>(this.emitter);
  readonly first: Heard[] = record(this.emitter, ['one', 'two', 'three']);
  #last: Heard[] | undefined;

  /** Adds a listener between the two. */
  on(event: keyof Events, listener: (value?: unknown) => void): this {
    this.emitter.on(event, listener);
    return this;
  }

  /** From now on the last one listens too. */
  get last(): Heard[] {
    return (this.#last ??= record(this.emitter, ['one', 'two', 'three']));
  }
}

describe('announce()', () => {
  it('emits at once when nothing is under way', () => {
    const { announcer, first } = new Stage();
    announcer.deliver('one', 1);
    expect(first).toEqual([['one', 1]]);
    announcer.deliver('two');
    expect(first).toEqual([['one', 1], ['two']]);
  });

  it('waits within a listener until the present event has reached everyone: all hear the same order', () => {
    const stage = new Stage();
    stage.on('one', () => {
      stage.announcer.deliver('two', 'a');
      stage.announcer.deliver('three', 'b');
    });
    const { first, last } = stage;
    stage.announcer.deliver('one', 1);
    const order = [
      ['one', 1],
      ['two', 'a'],
      ['three', 'b'],
    ];
    expect([first, last]).toEqual([order, order]);
  });

  it('takes what is announced from within what was announced from within in its turn', () => {
    const stage = new Stage();
    stage.on('one', () => {
      stage.announcer.deliver('two', 'first');
      stage.announcer.deliver('two', 'second');
    });
    stage.on('two', (value) => stage.announcer.deliver('three', value));
    const { first, last } = stage;
    stage.announcer.deliver('one');
    const order = [['one'], ['two', 'first'], ['two', 'second'], ['three', 'first'], ['three', 'second']];
    expect([first, last]).toEqual([order, order]);
  });

  it('returns within a listener before the event is out: what was done can be told of later', () => {
    const stage = new Stage();
    const notes: string[] = [];
    stage.on('one', () => {
      stage.announcer.deliver('two');
      notes.push('announced');
    });
    stage.on('two', () => notes.push('heard'));
    stage.announcer.deliver('one');
    expect(notes).toEqual(['announced', 'heard']);
  });

  it('goes on with the others when a listener throws', () => {
    const microtasks: (() => void)[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    try {
      const stage = new Stage();
      stage.on('one', () => {
        stage.announcer.deliver('two');
        throw new Error('listener');
      });
      const { first, last } = stage;
      stage.announcer.deliver('one');
      stage.announcer.deliver('three');
      const order = [['one'], ['two'], ['three']];
      expect([first, last]).toEqual([order, order]);
      expect(microtasks.map((task) => String(catching(task)))).toEqual(['Error: listener']);
    } finally {
      spy.mockRestore();
    }
  });

  it('survives ten thousand events in a chain', () => {
    const stage = new Stage();
    let left = 10_000;
    stage.on('one', () => {
      if (--left > 0) stage.announcer.deliver('one', left);
    });
    stage.announcer.deliver('one');
    expect(stage.first).toHaveLength(10_000);
  });
});

describe('announceIf()', () => {
  it('emits at once what is true when nothing is under way', () => {
    const { announcer, first } = new Stage();
    announcer.deliverIf(() => true, 'one', 1);
    announcer.deliverIf(() => false, 'two', 2);
    expect(first).toEqual([['one', 1]]);
  });

  it('asks whether it is true when its turn has come, and not before', () => {
    const stage = new Stage();
    let isTrue = true;
    stage.on('two', () => (isTrue = false));
    stage.on('one', () => {
      stage.announcer.deliverIf(() => isTrue, 'three', 'still true');
      stage.announcer.deliver('two');
      stage.announcer.deliverIf(() => isTrue, 'three', 'no longer true');
    });
    stage.announcer.deliver('one');
    expect(stage.first).toEqual([['one'], ['three', 'still true'], ['two']]);
  });
});

describe('afterwards()', () => {
  it('runs a task at once when nothing is under way', () => {
    const task = jest.fn();
    new Stage().announcer.enqueue(task);
    expect(task).toHaveBeenCalledTimes(1);
  });

  it('throws at once what a task throws that did not have to wait', () => {
    const { announcer, first } = new Stage();
    const error = new Error('task');
    const task = () => {
      announcer.deliver('one');
      throw error;
    };
    expect(catching(() => announcer.enqueue(task))).toBe(error);
    announcer.deliver('two');
    expect(names(first)).toEqual(['one', 'two']);
  });

  it('runs a task within a listener when all that was announced before it is delivered', () => {
    const stage = new Stage();
    const notes: string[][] = [];
    stage.on('one', () => {
      stage.announcer.deliver('two');
      stage.announcer.enqueue(() => notes.push(names(stage.first)));
      stage.announcer.deliver('three');
    });
    stage.announcer.deliver('one');
    expect(notes).toEqual([['one', 'two']]);
    expect(names(stage.first)).toEqual(['one', 'two', 'three']);
  });

  it('delivers what a task announces behind what waits already', () => {
    const stage = new Stage();
    stage.on('one', () => {
      stage.announcer.enqueue(() => stage.announcer.deliver('three'));
      stage.announcer.deliver('two');
    });
    stage.announcer.deliver('one');
    expect(names(stage.first)).toEqual(['one', 'two', 'three']);
  });
});

describe('transact()', () => {
  it('delivers what the change announces when it is done: listeners never see it half done', () => {
    const { announcer, first } = new Stage();
    let seen: Heard[] | undefined;
    announcer.transaction(() => {
      announcer.deliver('one');
      announcer.deliverIf(() => true, 'two');
      announcer.enqueue(() => announcer.deliver('three'));
      seen = [...first];
    });
    expect(seen).toEqual([]);
    expect(names(first)).toEqual(['one', 'two', 'three']);
  });

  it('within another is part of it', () => {
    const { announcer, first } = new Stage();
    let seen: Heard[] | undefined;
    announcer.transaction(() => {
      announcer.transaction(() => announcer.deliver('one'));
      seen = [...first];
      announcer.deliver('two');
    });
    expect(seen).toEqual([]);
    expect(names(first)).toEqual(['one', 'two']);
  });

  it('within a listener makes its change at once, and is told of in its turn', () => {
    const stage = new Stage();
    const notes: string[] = [];
    stage.on('one', () => {
      stage.announcer.transaction(() => {
        notes.push('changed');
        stage.announcer.deliver('two');
      });
      notes.push('returned');
    });
    stage.on('two', () => notes.push('told'));
    const { first, last } = stage;
    stage.announcer.deliver('one');
    expect(notes).toEqual(['changed', 'returned', 'told']);
    expect([names(first), names(last)]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
  });

  it('throws what the change throws, with all that it announced delivered', () => {
    const { announcer, first } = new Stage();
    const error = new Error('change');
    const change = () => {
      announcer.deliver('one');
      throw error;
    };
    expect(catching(() => announcer.transaction(change))).toBe(error);
    expect(names(first)).toEqual(['one']);
    announcer.deliver('two');
    expect(names(first)).toEqual(['one', 'two']);
  });
});

describe('a task that had to wait and throws', () => {
  it('becomes an uncaught exception, and keeps nothing from its turn that waits behind it', () => {
    const microtasks: (() => void)[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    try {
      const { announcer, first } = new Stage();
      const error = new Error('task');
      announcer.transaction(() => {
        announcer.enqueue(() => {
          throw error;
        });
        announcer.deliver('one');
      });
      announcer.deliver('two');
      expect(names(first)).toEqual(['one', 'two']);
      expect(microtasks.map(catching)).toEqual([error]);
    } finally {
      spy.mockRestore();
    }
  });
});

/** What a listener may do, and what others then do when they hear of it. */
type Deed =
  | { readonly announce: keyof Events; readonly value: number }
  | { readonly afterwards: readonly Deed[] }
  | { readonly transact: readonly Deed[] };

describe('whatever listeners do', () => {
  const event = fc.constantFrom<keyof Events>('one', 'two', 'three');
  const { deeds } = fc.letrec<{ deeds: Deed[]; deed: Deed }>((tie) => ({
    deeds: fc.array(tie('deed'), { maxLength: 3, depthIdentifier: 'deeds' }),
    deed: fc.oneof(
      { depthIdentifier: 'deeds', maxDepth: 3 },
      fc.record({ announce: event, value: fc.nat(9) }),
      fc.record({ afterwards: tie('deeds') }),
      fc.record({ transact: tie('deeds') }),
    ),
  }));

  it('all hear the same events in the same order, one at a time, and nothing is left behind', () => {
    fc.assert(
      fc.property(deeds, fc.array(deeds, { maxLength: 10 }), (beginning, reactions) => {
        const stage = new Stage();
        let depth = 0;
        let deepest = 0;
        let announced = 0;
        const due = [...reactions];
        const act = (each: Deed): void => {
          if ('announce' in each) {
            announced += 1;
            stage.announcer.deliver(each.announce, each.value);
          } else if ('afterwards' in each) stage.announcer.enqueue(() => each.afterwards.forEach(act));
          else stage.announcer.transaction(() => each.transact.forEach(act));
        };
        for (const name of ['one', 'two', 'three'] as const) {
          stage.on(name, () => {
            depth += 1;
            deepest = Math.max(deepest, depth);
            due.shift()?.forEach(act);
            depth -= 1;
          });
        }
        const { first, last } = stage;
        beginning.forEach(act);
        expect(last).toEqual(first);
        expect(first).toHaveLength(announced);
        expect(deepest).toBe(Math.min(announced, 1));
      }),
    );
  });
});

function catching(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return 'nothing was thrown';
}
