import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';

import type { Bench } from './slices';
import { loadLibrary } from './ours';
import type { Task } from './task';

/** Work that is too short to be measured from outside. */
export interface SmallWork {
  /** `once` and `twice`: an event of a stream, emitted again by one or by two emitters of Node's. */
  readonly what: 'node emit' | 'emit' | 'once' | 'twice' | 'connection' | 'pool' | 'plain loop' | 'pick';
  /** Of the pool, for the last two. */
  readonly members?: number;
}

/** Counts the work, so that the compiler cannot leave it out. */
let done = 0;
const onData = () => {
  done++;
};

const chunk = Buffer.alloc(64);

/** Does a small work `calls` times in a slice. */
export async function small(task: Task & Partial<SmallWork>, { calls }: { readonly calls: number }): Promise<Bench> {
  const work = await workOf(task);
  return () => {
    const before = done;
    work(calls);
    if (done - before !== calls) throw new Error(`${task.what!} was done ${done - before} times, not ${calls}`);
    return Promise.resolve({ units: calls });
  };
}

/** Each work has a loop of its own, so that the compiler fits it to that work. */
async function workOf(task: Task & Partial<SmallWork>): Promise<(calls: number) => void> {
  const { what = 'emit', members = 0, address, library } = task;
  switch (what) {
    case 'node emit': {
      const emitter = new EventEmitter().on('data', onData);
      return (calls) => {
        for (let call = 0; call < calls; call++) emitter.emit('data', chunk);
      };
    }
    case 'emit': {
      const { ReconnectingConnection } = loadLibrary(library!);
      const connection = new ReconnectingConnection({ port: 1, autoConnect: false }).on('data', onData);
      return (calls) => {
        for (let call = 0; call < calls; call++) connection.emit('data', chunk);
      };
    }
    case 'once':
    case 'twice': {
      const [stream, emitter] = [silentStream(), new EventEmitter()];
      stream.on('data', (data) => emitter.emit('data', data));
      if (what === 'once') emitter.on('data', onData);
      else reEmit(emitter, new EventEmitter().on('data', onData));
      return pushing(stream);
    }
    case 'connection':
    case 'pool': {
      const { ConnectionPool, ReconnectingConnection } = loadLibrary(library!);
      const stream = silentStream();
      const options = { port: 1, dial: () => stream };
      let emitter: InstanceType<typeof ReconnectingConnection>;
      if (what === 'pool') {
        const pool = new ConnectionPool().on('data', onData);
        emitter = pool.add(options);
      } else {
        emitter = new ReconnectingConnection(options).on('data', onData);
      }
      await emitter.whenOpen();
      return pushing(stream);
    }
    case 'plain loop': {
      const all = Array.from({ length: members }, () => ({ isOpen: true, picked: 0 }));
      let next = 0;
      return (calls) => {
        for (let call = 0; call < calls; call++) {
          do next = (next + 1) % all.length;
          while (!all[next]!.isOpen);
          all[next]!.picked++;
          done++;
        }
      };
    }
    case 'pick': {
      const { ConnectionPool } = loadLibrary(library!);
      const pool = new ConnectionPool();
      await new Promise<void>((resolve) => {
        let left = members;
        pool.on('open', () => --left === 0 && resolve());
        for (let index = 0; index < members; index++) pool.add(address);
      });
      return (calls) => {
        for (let call = 0; call < calls; call++) if (pool.pick() !== undefined) done++;
      };
    }
  }
}

/** As a pool does: with the tag of the member, and the member. */
function reEmit(emitter: EventEmitter, pool: EventEmitter): void {
  emitter.on('data', (data) => pool.emit('data', data, 'tag', emitter));
}

function silentStream(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, callback) => callback() });
}

/** In a later tick the stream flows, and emits `data` at once. */
async function pushing(stream: Duplex): Promise<(calls: number) => void> {
  await immediate();
  return (calls) => {
    for (let call = 0; call < calls; call++) stream.push(chunk);
  };
}
