import { EventEmitter } from 'node:events';

import type { Bench } from './slices';
import { loadLibrary } from './ours';
import type { Task } from './task';

/** Work that is too short to be measured from outside. */
export interface SmallWork {
  readonly what: 'node emit' | 'node hop' | 'emit' | 'hop' | 'plain loop' | 'pick';
  /** Of the pool, for the last two. */
  readonly members?: number;
}

/** Counts the work, so that the compiler cannot leave it out. */
let done = 0;
const onData = () => {
  done++;
};

const chunk = Buffer.alloc(64);
const idle = { port: 1, autoConnect: false } as const;

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
async function workOf({
  what,
  members = 0,
  address,
  library = '',
}: Task & Partial<SmallWork>): Promise<(calls: number) => void> {
  switch (what) {
    case 'node emit':
    case 'node hop': {
      const emitter = new EventEmitter();
      if (what === 'node emit') emitter.on('data', onData);
      else reEmit(emitter, new EventEmitter().on('data', onData));
      return (calls) => {
        for (let call = 0; call < calls; call++) emitter.emit('data', chunk);
      };
    }
    case 'emit':
    case 'hop': {
      const { ConnectionPool, ReconnectingConnection } = loadLibrary(library);
      const isHop = what === 'hop';
      const connection = isHop
        ? new ConnectionPool().on('data', onData).add(idle)
        : new ReconnectingConnection(idle).on('data', onData);
      return (calls) => {
        for (let call = 0; call < calls; call++) connection.emit('data', chunk);
      };
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
      const { ConnectionPool } = loadLibrary(library);
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
    case undefined:
      throw new Error('Expected a client with `what`');
  }
}

function reEmit(emitter: EventEmitter, pool: EventEmitter): void {
  emitter.on('data', (data) => void pool.emit('data', data, 'tag', emitter));
}
