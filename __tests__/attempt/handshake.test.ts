import { once } from 'node:events';
import { Duplex } from 'node:stream';

import * as fc from 'fast-check';

import { runHandshake } from '../../lib/attempt/handshake';
import { settle } from '../kit/scripted';

/** A stream that receives what a test pushes, whoever listens. */
function stream(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
}

/** All that a stream emits from now on, as text; it grows. */
function follow(source: Duplex): { text: string } {
  const heard = { text: '' };
  source.on('data', (chunk: Buffer) => (heard.text += chunk.toString())).resume();
  return heard;
}

function listenersOf(source: Duplex): Record<string, number> {
  return Object.fromEntries(source.eventNames().map((event) => [String(event), source.listenerCount(event)]));
}

/** The next chunk, as text, as soon as it comes; it fails when none comes for a while. */
async function next(source: Duplex): Promise<string> {
  const given = once(source, 'data') as Promise<[Buffer]>;
  const patience = (async () => {
    for (let turn = 0; turn < 50; turn++) await settle();
    throw new Error('no data came');
  })();
  patience.catch(() => undefined);
  const [chunk] = await Promise.race([given, patience]);
  return chunk.toString();
}

describe('runHandshake()', () => {
  it('resolves when the handshake does, and hands it nothing but time', async () => {
    const source = stream();
    const handshake = jest.fn(() => Promise.resolve());
    await runHandshake(source, handshake);
    expect(handshake.mock.calls).toEqual([[]]);
  });

  it('takes a handshake that is no promise', async () => {
    await expect(runHandshake(stream(), () => undefined)).resolves.toBeUndefined();
  });

  it('loses no byte between two waits for data', async () => {
    const source = stream();
    const heard: string[] = [];
    for (const chunk of ['hello', 'salt', 'ok', 'first message']) source.push(chunk);
    await runHandshake(source, async () => {
      heard.push(await next(source));
      await settle();
      heard.push(await next(source));
      heard.push(await next(source));
    });
    const rest = follow(source);
    await settle();
    expect([...heard, rest.text]).toEqual(['hello', 'salt', 'ok', 'first message']);
  });

  it('is needed for that: without it, what follows a chunk is lost', async () => {
    const source = stream();
    const first = next(source);
    source.push('hello');
    await first;
    source.push('lost');
    await settle();
    const rest = follow(source);
    await settle();
    expect(rest.text).toBe('');
  });

  it('keeps what nobody has read', async () => {
    const source = stream();
    source.push('unread');
    await runHandshake(source, () => undefined);
    source.push(', and more');
    await settle();
    const rest = follow(source);
    await settle();
    expect(rest.text).toBe('unread, and more');
  });

  it('keeps what a handshake puts back that read too much', async () => {
    const source = stream();
    source.push('hello;first message');
    await runHandshake(source, async () => {
      const [chunk] = (await once(source, 'data')) as [Buffer];
      source.unshift(chunk.subarray(6));
    });
    const rest = follow(source);
    await settle();
    expect(rest.text).toBe('first message');
  });

  it.each<[string, (source: Duplex) => Promise<unknown>]>([
    ['waits for data', next],
    [
      'listens for data and stops',
      async (source) => {
        const listener = jest.fn();
        source.on('data', listener);
        await settle();
        source.off('data', listener);
        expect(listener).toHaveBeenCalledTimes(1);
      },
    ],
    [
      'removes all listeners for data',
      async (source) => {
        await next(source);
        source.removeAllListeners('data');
      },
    ],
    [
      'waits until it is readable and reads',
      async (source) => {
        if (source.readableLength === 0) await once(source, 'readable');
        source.read();
      },
    ],
    [
      'iterates over the stream and leaves it whole',
      async (source) => {
        for await (const chunk of source.iterator({ destroyOnReturn: false })) {
          expect(String(chunk)).toBe('hello');
          break;
        }
      },
    ],
    [
      'pauses and resumes on its own',
      async (source) => {
        const chunk = next(source);
        source.pause();
        await settle();
        source.resume();
        await chunk;
      },
    ],
    [
      'pipes into something and unpipes it',
      async (source) => {
        const sink = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
        source.pipe(sink);
        await settle();
        source.unpipe(sink);
      },
    ],
  ])('leaves the stream standing still with a handshake that %s', async (_title, handshake) => {
    const source = stream();
    const before = listenersOf(source);
    source.push('hello');
    await runHandshake(source, async () => {
      await handshake(source);
    });
    source.push('first message');
    await settle();
    expect(source.readableFlowing).not.toBe(true);
    expect({ data: source.listenerCount('data'), removeListener: source.listenerCount('removeListener') }).toEqual({
      data: 0,
      removeListener: 0,
    });
    const rest = follow(source);
    await settle();
    expect(rest.text).toBe('first message');
    expect(before).toEqual({});
  });

  it('lets a stream flow on to a listener that stays', async () => {
    const source = stream();
    const heard: string[] = [];
    await runHandshake(source, () => {
      source.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
    });
    source.push('first message');
    await settle();
    expect(heard).toEqual(['first message']);
  });

  it('lets a stream flow on while one of two listeners stays', async () => {
    const source = stream();
    const heard: string[] = [];
    await runHandshake(source, async () => {
      source.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
      source.push('hello');
      await next(source);
      source.push('more');
      await settle();
      expect(heard).toEqual(['hello', 'more']);
    });
  });

  it('minds other listeners coming and going no more than silence', async () => {
    const source = stream();
    source.push('hello');
    await runHandshake(source, async () => {
      const listener = () => undefined;
      source.on('end', listener).on('error', listener);
      source.off('end', listener).off('error', listener);
      expect(source.readableFlowing).not.toBe(true);
      expect(await next(source)).toBe('hello');
    });
  });

  it.each<[string, () => Promise<void> | void]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('rejects with what the handshake %s, and leaves no listener behind', async (_title, handshake) => {
    const source = stream();
    await expect(runHandshake(source, handshake)).rejects.toThrow('no');
    expect(listenersOf(source)).toEqual({});
    expect(source.isPaused()).toBe(true);
  });

  it('leaves no listener behind when all went well', async () => {
    const source = stream();
    await runHandshake(source, () => undefined);
    expect(listenersOf(source)).toEqual({});
  });

  it('does not touch a stream that was destroyed meanwhile', async () => {
    const source = stream();
    const pause = jest.spyOn(source, 'pause');
    await runHandshake(source, () => {
      source.destroy();
      pause.mockClear();
    });
    expect(pause).not.toHaveBeenCalled();
    expect(listenersOf(source)).toEqual({});
  });

  it('loses and repeats no byte, however they are cut and whenever they are awaited', async () => {
    const chunks = fc.array(fc.record({ text: fc.stringMatching(/^[a-z]{1,5}$/), rests: fc.boolean() }), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(chunks, fc.array(fc.boolean(), { maxLength: 6 }), async (sent, reads) => {
        const source = stream();
        const sending = (async () => {
          for (const { text, rests } of sent) {
            source.push(text);
            if (rests) await settle();
          }
        })();
        const heard: string[] = [];
        await runHandshake(source, async () => {
          for (const rests of reads.slice(0, sent.length)) {
            // Chunks that wait together come as they came, one by one.
            heard.push(await next(source));
            if (rests) await settle();
          }
        });
        await sending;
        const rest = follow(source);
        await settle();
        expect(heard.join('') + rest.text).toBe(sent.map(({ text }) => text).join(''));
      }),
    );
  });
});
