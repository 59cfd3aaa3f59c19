import * as fc from 'fast-check';

import { DeliveryQueue } from '../../lib/events/delivery-queue';
import { Emitter } from '../../lib/events/emitter';
import { type Heard, names, record } from '../kit/record';

type Events = {
  one: (value?: unknown) => void;
  two: (value?: unknown) => void;
  three: (value?: unknown) => void;
};

/** A queue whose events are recorded by a first and a last listener; a test adds listeners between these. */
class Recording {
  readonly emitter = new Emitter<Events>();
  readonly queue = new DeliveryQueue<Events>(this.emitter);
  readonly first: Heard[] = record(this.emitter, ['one', 'two', 'three']);
  #last: Heard[] | undefined;

  /** Adds a listener between the two. */
  on(event: keyof Events, listener: (value?: unknown) => void): this {
    this.emitter.on(event, listener);
    return this;
  }

  /** Adds the last listener at the first call. */
  get last(): Heard[] {
    return (this.#last ??= record(this.emitter, ['one', 'two', 'three']));
  }
}

describe('deliver()', () => {
  it('emits at once when nothing is being delivered', () => {
    const { queue, first } = new Recording();
    queue.deliver('one', 1);
    expect(first).toEqual([['one', 1]]);
    queue.deliver('two');
    expect(first).toEqual([['one', 1], ['two']]);
  });

  it('called by a listener: emits after the present event, so that all listeners get the same order', () => {
    const recording = new Recording();
    recording.on('one', () => {
      recording.queue.deliver('two', 'a');
      recording.queue.deliver('three', 'b');
    });
    const { first, last } = recording;
    recording.queue.deliver('one', 1);
    const order = [
      ['one', 1],
      ['two', 'a'],
      ['three', 'b'],
    ];
    expect([first, last]).toEqual([order, order]);
  });

  it('keeps the order of events that are caused by queued events', () => {
    const recording = new Recording();
    recording.on('one', () => {
      recording.queue.deliver('two', 'first');
      recording.queue.deliver('two', 'second');
    });
    recording.on('two', (value) => recording.queue.deliver('three', value));
    const { first, last } = recording;
    recording.queue.deliver('one');
    const order = [['one'], ['two', 'first'], ['two', 'second'], ['three', 'first'], ['three', 'second']];
    expect([first, last]).toEqual([order, order]);
  });

  it('called by a listener: returns before the event is emitted', () => {
    const recording = new Recording();
    const notes: string[] = [];
    recording.on('one', () => {
      recording.queue.deliver('two');
      notes.push('returned');
    });
    recording.on('two', () => notes.push('emitted'));
    recording.queue.deliver('one');
    expect(notes).toEqual(['returned', 'emitted']);
  });

  it('goes on with the other events when a listener throws', () => {
    const microtasks: (() => void)[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    try {
      const recording = new Recording();
      recording.on('one', () => {
        recording.queue.deliver('two');
        throw new Error('listener');
      });
      const { first, last } = recording;
      recording.queue.deliver('one');
      recording.queue.deliver('three');
      const order = [['one'], ['two'], ['three']];
      expect([first, last]).toEqual([order, order]);
      expect(microtasks.map((task) => String(catching(task)))).toEqual(['Error: listener']);
    } finally {
      spy.mockRestore();
    }
  });

  it('delivers a chain of ten thousand events', () => {
    const recording = new Recording();
    let left = 10_000;
    recording.on('one', () => {
      if (--left > 0) recording.queue.deliver('one', left);
    });
    recording.queue.deliver('one');
    expect(recording.first).toHaveLength(10_000);
  });
});

describe('deliverIf()', () => {
  it('emits at once when it is true and nothing is being delivered', () => {
    const { queue, first } = new Recording();
    queue.deliverIf(() => true, 'one', 1);
    queue.deliverIf(() => false, 'two', 2);
    expect(first).toEqual([['one', 1]]);
  });

  it('evaluates the condition when the events before it have been delivered', () => {
    const recording = new Recording();
    let isTrue = true;
    recording.on('two', () => (isTrue = false));
    recording.on('one', () => {
      recording.queue.deliverIf(() => isTrue, 'three', 'still true');
      recording.queue.deliver('two');
      recording.queue.deliverIf(() => isTrue, 'three', 'no longer true');
    });
    recording.queue.deliver('one');
    expect(recording.first).toEqual([['one'], ['three', 'still true'], ['two']]);
  });
});

describe('enqueue()', () => {
  it('runs a task at once when nothing is being delivered', () => {
    const task = jest.fn();
    new Recording().queue.enqueue(task);
    expect(task).toHaveBeenCalledTimes(1);
  });

  it('throws the error of a task that runs at once', () => {
    const { queue, first } = new Recording();
    const error = new Error('task');
    const task = () => {
      queue.deliver('one');
      throw error;
    };
    expect(catching(() => queue.enqueue(task))).toBe(error);
    queue.deliver('two');
    expect(names(first)).toEqual(['one', 'two']);
  });

  it('called by a listener: runs the task after the events that were queued before it', () => {
    const recording = new Recording();
    const notes: string[][] = [];
    recording.on('one', () => {
      recording.queue.deliver('two');
      recording.queue.enqueue(() => notes.push(names(recording.first)));
      recording.queue.deliver('three');
    });
    recording.queue.deliver('one');
    expect(notes).toEqual([['one', 'two']]);
    expect(names(recording.first)).toEqual(['one', 'two', 'three']);
  });

  it('delivers the events of a task after those that are queued already', () => {
    const recording = new Recording();
    recording.on('one', () => {
      recording.queue.enqueue(() => recording.queue.deliver('three'));
      recording.queue.deliver('two');
    });
    recording.queue.deliver('one');
    expect(names(recording.first)).toEqual(['one', 'two', 'three']);
  });
});

describe('transaction()', () => {
  it('delivers the events of a change when it is complete', () => {
    const { queue, first } = new Recording();
    let seen: Heard[] | undefined;
    queue.transaction(() => {
      queue.deliver('one');
      queue.deliverIf(() => true, 'two');
      queue.enqueue(() => queue.deliver('three'));
      seen = [...first];
    });
    expect(seen).toEqual([]);
    expect(names(first)).toEqual(['one', 'two', 'three']);
  });

  it('inside another is part of it', () => {
    const { queue, first } = new Recording();
    let seen: Heard[] | undefined;
    queue.transaction(() => {
      queue.transaction(() => queue.deliver('one'));
      seen = [...first];
      queue.deliver('two');
    });
    expect(seen).toEqual([]);
    expect(names(first)).toEqual(['one', 'two']);
  });

  it('called by a listener: makes the change at once, and emits its events after the present one', () => {
    const recording = new Recording();
    const notes: string[] = [];
    recording.on('one', () => {
      recording.queue.transaction(() => {
        notes.push('changed');
        recording.queue.deliver('two');
      });
      notes.push('returned');
    });
    recording.on('two', () => notes.push('emitted'));
    const { first, last } = recording;
    recording.queue.deliver('one');
    expect(notes).toEqual(['changed', 'returned', 'emitted']);
    expect([names(first), names(last)]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
  });

  it('throws the error of the change after delivering its events', () => {
    const { queue, first } = new Recording();
    const error = new Error('change');
    const change = () => {
      queue.deliver('one');
      throw error;
    };
    expect(catching(() => queue.transaction(change))).toBe(error);
    expect(names(first)).toEqual(['one']);
    queue.deliver('two');
    expect(names(first)).toEqual(['one', 'two']);
  });
});

describe('a queued task that throws', () => {
  it('is an uncaught exception, and the tasks behind it still run', () => {
    const microtasks: (() => void)[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    try {
      const { queue, first } = new Recording();
      const error = new Error('task');
      queue.transaction(() => {
        queue.enqueue(() => {
          throw error;
        });
        queue.deliver('one');
      });
      queue.deliver('two');
      expect(names(first)).toEqual(['one', 'two']);
      expect(microtasks.map(catching)).toEqual([error]);
    } finally {
      spy.mockRestore();
    }
  });
});

/** A call that a listener may make. */
type Call =
  | { readonly deliver: keyof Events; readonly value: number }
  | { readonly enqueue: readonly Call[] }
  | { readonly transaction: readonly Call[] };

describe('whatever calls listeners make', () => {
  const event = fc.constantFrom<keyof Events>('one', 'two', 'three');
  const { calls } = fc.letrec<{ calls: Call[]; call: Call }>((tie) => ({
    calls: fc.array(tie('call'), { maxLength: 3, depthIdentifier: 'calls' }),
    call: fc.oneof(
      { depthIdentifier: 'calls', maxDepth: 3 },
      fc.record({ deliver: event, value: fc.nat(9) }),
      fc.record({ enqueue: tie('calls') }),
      fc.record({ transaction: tie('calls') }),
    ),
  }));

  it('all listeners get the same events in the same order, one at a time, and none is lost', () => {
    fc.assert(
      fc.property(calls, fc.array(calls, { maxLength: 10 }), (initial, reactions) => {
        const recording = new Recording();
        let depth = 0;
        let deepest = 0;
        let delivered = 0;
        const pending = [...reactions];
        const make = (call: Call): void => {
          if ('deliver' in call) {
            delivered += 1;
            recording.queue.deliver(call.deliver, call.value);
          } else if ('enqueue' in call) recording.queue.enqueue(() => call.enqueue.forEach(make));
          else recording.queue.transaction(() => call.transaction.forEach(make));
        };
        for (const name of ['one', 'two', 'three'] as const) {
          recording.on(name, () => {
            depth += 1;
            deepest = Math.max(deepest, depth);
            pending.shift()?.forEach(make);
            depth -= 1;
          });
        }
        const { first, last } = recording;
        initial.forEach(make);
        expect(last).toEqual(first);
        expect(first).toHaveLength(delivered);
        expect(deepest).toBe(Math.min(delivered, 1));
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

describe('hasListeners()', () => {
  it('is whether the emitter has listeners, or the one that passes its events on', () => {
    const emitter = new Emitter<Events>().on('one', () => undefined);
    const elsewhere = jest.fn((event: PropertyKey) => event === 'two');
    const queue = new DeliveryQueue<Events>(emitter, { observe: () => undefined, hasListeners: elsewhere });
    expect((['one', 'two', 'three'] as const).map((event) => queue.hasListeners(event))).toEqual([true, true, false]);
    expect(new DeliveryQueue<Events>(emitter).hasListeners('two')).toBe(false);
  });
});
