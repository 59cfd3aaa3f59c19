import NodeEmitter, { on, once, setMaxListeners } from 'node:events';

import { EventEmitter } from 'eventemitter3';
import * as fc from 'fast-check';

import { ReconnectingConnection } from '../../lib/connection';
import { Emitter, onListenerAdded, shielded } from '../../lib/events/emitter';
import { run } from '../kit/processes';

type Events = {
  one: (...args: unknown[]) => void;
  two: (...args: unknown[]) => void;
  [other: string]: (...args: unknown[]) => void;
};

class Subject extends Emitter<Events> {}

/** One of Node's, and one of ours. */
function bothKinds(): NodeEmitter[] {
  // `as`: that they are the same to look at is what the tests are about.
  return [new NodeEmitter(), new Subject() as unknown as NodeEmitter];
}

/** What was handed to `queueMicrotask`, which waits until the test runs it. */
let microtasks: (() => void)[];
beforeEach(() => {
  microtasks = [];
  jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
});
afterEach(() => jest.restoreAllMocks());

/** What the postponed microtasks throw, one after the other, as the process would get to hear it. */
function uncaught(): unknown[] {
  return microtasks.splice(0).map((task) => {
    try {
      task();
    } catch (error) {
      return error;
    }
    return 'nothing was thrown';
  });
}

describe('Emitter', () => {
  it('tells a subclass of each listener that was added, in whichever way', () => {
    const added: [event: PropertyKey, listeners: number][] = [];
    class Told extends Emitter<Events> {
      override [onListenerAdded](event: keyof Events): void {
        added.push([event, this.listenerCount(event)]);
      }
    }
    const told = new Told();
    const listener = () => undefined;
    told.on('one', listener).addListener('one', listener).once('two', listener);
    told.prependListener('two', listener).prependOnceListener('two', listener);
    expect(added).toEqual([
      ['one', 1],
      ['one', 2],
      ['two', 1],
      ['two', 2],
      ['two', 3],
    ]);
  });

  it.each(['on', 'addListener', 'once'] as const)('takes a context for %s(), as eventemitter3 does', (method) => {
    const contexts: unknown[] = [];
    const subject = new Subject();
    const context = {};
    const note = function (this: unknown): void {
      contexts.push(this);
    };
    subject[method]('one', note, context);
    subject[method]('one', note);
    subject.emit('one');
    expect(contexts).toEqual([context, subject]);
  });

  it.each([1, 2])(
    'removes a listener by its context, and those of once() alone, as eventemitter3 does (%i of them)',
    (count) => {
      const [listener, context] = [() => undefined, {}];
      const left = [new EventEmitter(), new Subject() as unknown as EventEmitter].map((emitter) => {
        const add = (method: 'on' | 'once', own?: object) => {
          for (let index = 0; index < count; index++) emitter[method]('one', listener, own);
          return emitter;
        };
        const counts = [
          add('on').off('one', listener, context).listenerCount('one'),
          emitter.off('one', listener, emitter).listenerCount('one'),
          add('on', context).off('one', listener, emitter).listenerCount('one'),
          emitter.off('one', listener, context).listenerCount('one'),
          add('on').off('one', listener, undefined, true).listenerCount('one'),
          add('once').off('one', listener, undefined, true).listenerCount('one'),
        ];
        return [...counts, emitter.removeListener('one', undefined).eventNames()];
      });
      expect(left[0]).toEqual([count, 0, count, 0, count, count, []]);
      expect(left[1]).toEqual(left[0]);
    },
  );

  it('is an EventEmitter of eventemitter3', () => {
    expect(new Subject()).toBeInstanceOf(EventEmitter);
  });

  it('calls the listeners in order, with the arguments, and with itself for `this`', () => {
    const subject = new Subject();
    const heard: unknown[] = [];
    for (const name of ['first', 'second']) {
      subject.on('one', function (this: unknown, ...args) {
        heard.push([name, this === subject, args]);
      });
    }
    const args = [1, 'two', null, undefined, {}, [], 7];
    expect(subject.emit('one', ...args)).toBe(true);
    expect(heard).toEqual([
      ['first', true, args],
      ['second', true, args],
    ]);
  });

  it('says whether there were listeners', () => {
    const subject = new Subject();
    expect(subject.emit('one')).toBe(false);
    subject.once('one', () => undefined);
    expect([subject.emit('one'), subject.emit('one')]).toEqual([true, false]);
  });

  it('has no event called error that throws when nobody listens', () => {
    expect(new Subject().emit('error', new Error('unheard'))).toBe(false);
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'takes `%s` for an event like any other',
    (event) => {
      const subject = new Subject();
      const heard: unknown[] = [];
      expect(subject.emit(event)).toBe(false);
      subject.on(event, (value) => heard.push(value));
      expect([subject.emit(event, 1), heard, subject.eventNames()]).toEqual([true, [1], [event]]);
    },
  );

  describe('with many listeners of an event', () => {
    it('warns of the eleventh, or where the limit that was set is exceeded, as Node does', async () => {
      const { said, stderr } = await run(
        `
        const warned = [];
        process.on('warning', ({ name, type, count, emitter }) => warned.push([name, type, count, emitter.label]));
        const cases = [
          ['ten', 10, (emitter) => emitter],
          ['eleven', 11, (emitter) => emitter],
          ['fifty', 50, (emitter) => emitter],
          ['twelve of twelve', 12, (emitter) => emitter.setMaxListeners(12)],
          ['thirteen of twelve', 13, (emitter) => emitter.setMaxListeners(12)],
          ['no limit: 0', 99, (emitter) => emitter.setMaxListeners(0)],
          ['no limit: Infinity', 99, (emitter) => emitter.setMaxListeners(Infinity)],
        ];
        const make = {
          node: () => new (require('node:events'))(),
          ours: () => new ReconnectingConnection({ port: 1, autoConnect: false }),
        };
        (async () => {
          for (const kind of ['node', 'ours']) {
            for (const [label, count, set] of cases) {
              for (const method of ['on', 'once', 'prependListener', 'addListener']) {
                const emitter = Object.assign(set(make[kind]()), { label });
                for (const event of ['drain', 'open']) for (let i = 0; i < count; i++) emitter[method](event, () => {});
              }
            }
            await new Promise(setImmediate);
            say(warned.splice(0));
          }
        })();`,
        { flags: ['--no-warnings'] },
      );

      expect(stderr).toBe('');
      const [node, ours] = said as [unknown[], unknown[]];
      expect(node).toHaveLength(3 * 4 * 2);
      expect(ours).toEqual(node);
    });

    it('warns once, also when listeners come and go', () => {
      const warn = jest.spyOn(process, 'emitWarning').mockReturnValue();
      const subject = new Subject();
      for (let index = 0; index < 11; index++) subject.on('one', () => undefined);
      for (let index = 0; index < 20; index++) subject.once('one', () => undefined).emit('one');

      expect(warn).toHaveBeenCalledTimes(1);
    });

    it('says to which connection they were added', () => {
      const warn = jest.spyOn(process, 'emitWarning').mockReturnValue();
      const connection = new ReconnectingConnection({ port: 7, autoConnect: false });
      for (let index = 0; index < 11; index++) connection.on('data', () => undefined);

      expect(String(warn.mock.calls[0]?.[0])).toMatch(
        /: 11 data listeners added to ReconnectingConnection \{.*'127\.0\.0\.1:7'.*MaxListeners is 10\./,
      );
    });

    it('has the limit of Node, or the one that was set', () => {
      for (const emitter of bothKinds()) {
        expect(emitter.getMaxListeners()).toBe(NodeEmitter.defaultMaxListeners);
        expect(emitter.setMaxListeners(3)).toBe(emitter);
        expect(emitter.getMaxListeners()).toBe(3);
        setMaxListeners(5, emitter);
        expect(emitter.getMaxListeners()).toBe(5);
        for (const bad of [-1, Number.NaN, '5']) expect(() => emitter.setMaxListeners(bad as number)).toThrow();
      }
    });
  });

  it('returns as raw listeners the functions that were added', () => {
    const [lasting, fleeting] = [() => undefined, () => undefined];
    const subject = new Subject().on('one', lasting).once('one', fleeting);
    expect(subject.rawListeners('one')).toEqual([lasting, fleeting]);
  });

  it('refuses a listener that is none', () => {
    for (const add of ['on', 'once', 'prependListener', 'prependOnceListener'] as const) {
      expect(() => new Subject()[add]('one', 'listener' as never)).toThrow(TypeError);
    }
  });

  it('returns itself from what adds and removes listeners', () => {
    const subject = new Subject();
    const listener = () => undefined;
    for (const method of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener', 'off'] as const) {
      expect(subject[method]('one', listener)).toBe(subject);
    }
    expect(subject.removeAllListeners()).toBe(subject);
  });
});

describe('a listener that throws', () => {
  it('keeps nobody else from hearing the event, and surfaces once, later', () => {
    const subject = new Subject();
    const heard: string[] = [];
    const error = new Error('listener');
    subject.on('one', () => heard.push('before'));
    subject.on('one', () => {
      throw error;
    });
    subject.on('one', () => heard.push('after'));
    expect(subject.emit('one')).toBe(true);
    expect(heard).toEqual(['before', 'after']);
    expect(uncaught()).toEqual([error]);
    expect(microtasks).toEqual([]);
  });

  it('surfaces for itself where several throw', () => {
    const subject = new Subject();
    const errors = [new Error('first'), new Error('second')];
    for (const error of errors) {
      subject.on('one', () => {
        throw error;
      });
    }
    subject.emit('one');
    expect(uncaught()).toEqual(errors);
  });

  it('surfaces too when it is the only one', () => {
    const error = new Error('listener');
    const subject = new Subject().on('one', () => {
      throw error;
    });
    expect(subject.emit('one')).toBe(true);
    expect(uncaught()).toEqual([error]);
  });

  it('is gone when it listened once', () => {
    const subject = new Subject().once('one', () => {
      throw new Error('listener');
    });
    expect([subject.emit('one'), subject.emit('one')]).toEqual([true, false]);
    expect(uncaught()).toHaveLength(1);
  });

  it('is an uncaught exception of a real process, once, after the others have heard', async () => {
    const { said } = await run(`
      process.on('uncaughtException', (error, origin) => say([origin, error.message]));
      const emitter = new ReconnectingConnection({ port: 1, autoConnect: false });
      emitter.on('drain', () => { throw new Error('listener'); });
      emitter.on('drain', () => say('heard'));
      say(emitter.emit('drain'));
      setImmediate(() => say('alive'));
    `);
    expect(said).toEqual(['heard', true, ['uncaughtException', 'listener'], 'alive']);
  });
});

describe('while an event is delivered', () => {
  it('a listener that is added hears the next event first', () => {
    const subject = new Subject();
    const heard: string[] = [];
    for (const method of ['on', 'once', 'prependListener', 'prependOnceListener'] as const) {
      subject.once('one', () => subject[method]('one', () => heard.push(method)));
    }
    subject.emit('one');
    expect(heard).toEqual([]);
    subject.emit('one');
    expect(heard).toEqual(['prependOnceListener', 'prependListener', 'on', 'once']);
  });

  it('a listener that is removed still hears this event, as with Node', () => {
    const subject = new Subject();
    const heard: string[] = [];
    const second = () => heard.push('second');
    subject.on('one', () => subject.off('one', second)).on('one', second);
    subject.emit('one');
    subject.emit('one');
    expect(heard).toEqual(['second']);
  });

  it('all may be removed, and this event still reaches everyone', () => {
    const subject = new Subject();
    const heard: string[] = [];
    subject.on('one', () => subject.removeAllListeners()).on('one', () => heard.push('second'));
    expect([subject.emit('one'), subject.emit('one'), heard]).toEqual([true, false, ['second']]);
  });

  it('one that listened once may listen once more', () => {
    const subject = new Subject();
    const heard: number[] = [];
    const listener = (value: unknown) => {
      heard.push(value as number);
      subject.once('one', listener);
    };
    subject.once('one', listener);
    for (let value = 0; value < 3; value++) subject.emit('one', value);
    expect(heard).toEqual([0, 1, 2]);
  });

  it('one that listens once is called once, though the event is emitted again before its turn', () => {
    for (const emitter of bothKinds()) {
      const heard: unknown[] = [];
      emitter.once('one', () => emitter.emit('one', 'inner'));
      emitter.once('one', (value: unknown) => heard.push(value));
      emitter.emit('one', 'outer');
      expect(heard).toEqual(['inner']);
    }
  });

  it('one that is made to listen once again before its turn keeps listening', () => {
    for (const emitter of bothKinds()) {
      const heard: unknown[] = [];
      const listener = (value: unknown) => heard.push(value);
      emitter.once('one', () => emitter.once('one', listener));
      emitter.once('one', listener);
      for (let value = 0; value < 3; value++) emitter.emit('one', value);
      expect(heard).toEqual([0, 1]);
    }
  });
});

describe('the helpers of node:events', () => {
  it('once() waits for an event', async () => {
    const subject = new Subject();
    const waiting = once(subject as unknown as NodeEmitter, 'one');
    subject.emit('one', 1, 2);
    expect(await waiting).toEqual([1, 2]);
    expect(subject.eventNames()).toEqual([]);
  });

  it('once() can be aborted, and leaves no listener', async () => {
    const subject = new Subject();
    const controller = new AbortController();
    const waiting = once(subject as unknown as NodeEmitter, 'one', { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    expect(subject.eventNames()).toEqual([]);
  });

  it('on() iterates over events, those that come meanwhile included, and leaves no listener', async () => {
    const subject = new Subject();
    const iterator = on(subject as unknown as NodeEmitter, 'one');
    for (const value of [1, 2, 3]) subject.emit('one', value);
    const heard: unknown[] = [];
    for await (const [value] of iterator as AsyncIterable<unknown[]>) {
      heard.push(value);
      if (value === 1) subject.emit('one', 4);
      if (value === 4) break;
    }
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(subject.eventNames()).toEqual([]);
  });
});

/** What can be done to either emitter; `then` is done by the listener itself when it is first called. */
type Step =
  | { readonly add: 'on' | 'once' | 'prependListener' | 'prependOnceListener'; event: string; who: number; then?: Step }
  | { readonly off: string; readonly who: number }
  | { readonly removeAll: string | undefined }
  | { readonly emit: string; readonly args: number[] };

describe('compared with an emitter of Node', () => {
  const event = fc.constantFrom('one', 'two', 'three');
  const who = fc.nat({ max: 4 });
  const off = fc.record({ off: event, who });
  const removeAll = fc.record({ removeAll: fc.option(event, { nil: undefined }) });
  const method = fc.constantFrom('on', 'once', 'prependListener', 'prependOnceListener' as const);
  const silent = fc.record({ add: method, event, who });
  const emit = fc.record({ emit: event, args: fc.array(fc.nat(9), { maxLength: 7 }) });
  const then = fc.oneof({ weight: 3, arbitrary: silent }, { weight: 2, arbitrary: off }, removeAll, emit);
  const active = fc.record({ add: method, event, who, then });
  const step = fc.oneof(
    { weight: 4, arbitrary: silent },
    { weight: 2, arbitrary: active },
    { weight: 2, arbitrary: off },
    { weight: 1, arbitrary: removeAll },
    { weight: 4, arbitrary: emit },
  ) as fc.Arbitrary<Step>;

  /** Takes the steps with one emitter, and notes all that can be seen from without. */
  function walk(emitter: NodeEmitter, steps: readonly Step[]): unknown[] {
    const notes: unknown[] = [];
    const dues: (Step | undefined)[] = [];
    const listeners = [0, 1, 2, 3, 4].map((number) => (...args: unknown[]) => {
      notes.push([number, args]);
      const due = dues[number];
      dues[number] = undefined;
      if (due !== undefined) take(due);
    });
    const nameOf = (listener: unknown) => listeners.indexOf(listener as (typeof listeners)[number]);
    const take = (each: Step): void => {
      if ('add' in each) {
        const listener = listeners[each.who]!;
        // Each listens but once to an event: what becomes of doubles, eventemitter3 decides otherwise (see below).
        if (emitter.listeners(each.event).includes(listener)) return;
        dues[each.who] = each.then;
        emitter[each.add](each.event, listener);
      } else if ('off' in each) emitter.off(each.off, listeners[each.who]!);
      else if ('emit' in each) notes.push(emitter.emit(each.emit, ...each.args));
      else if (each.removeAll === undefined) emitter.removeAllListeners();
      else emitter.removeAllListeners(each.removeAll);
    };
    for (const each of steps) {
      take(each);
      const events = ['one', 'two', 'three'];
      notes.push(
        emitter.eventNames(),
        events.map((name) => emitter.listenerCount(name)),
        events.map((name) => emitter.listeners(name).map(nameOf)),
      );
    }
    return notes;
  }

  it('every step shows the same', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const [nodes, ours] = bothKinds().map((emitter) => walk(emitter, steps));
        expect(ours).toEqual(nodes);
      }),
      { numRuns: 500 },
    );
  });

  it('off() removes a listener that was added twice altogether, where Node removes it once', () => {
    const counts = bothKinds().map((emitter) => {
      const listener = () => undefined;
      return emitter.on('one', listener).on('one', listener).off('one', listener).listenerCount('one');
    });
    expect(counts).toEqual([1, 0]);
  });
});

describe('shielded()', () => {
  it('calls, and lets nothing through that is thrown; it surfaces once, later', () => {
    const error = new Error('callback');
    const call = jest.fn(() => {
      throw error;
    });
    shielded(call);
    expect(call).toHaveBeenCalledTimes(1);
    expect(uncaught()).toEqual([error]);
  });

  it('reports nothing where nothing is thrown', () => {
    shielded(() => 'fine');
    expect(microtasks).toEqual([]);
  });
});
