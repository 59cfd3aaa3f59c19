import { EventEmitter } from 'node:events';

import { load } from '../project';
import { loadLibrary } from './ours';

/** The part of tinybench that is used here. */
interface Tinybench {
  readonly Bench: new (options: { time: number; warmupTime: number }) => {
    add(name: string, work: () => void): void;
    run(): Promise<unknown>;
    /** In milliseconds. */
    readonly tasks: readonly { readonly result: { readonly latency?: { readonly p50: number } } }[];
  };
}

export interface SmallTask {
  readonly work: 'small';
  readonly what: SmallWork;
  readonly library: string;
  /** Milliseconds. */
  readonly time: number;
}

export interface Timed {
  readonly time: number;
  /** How often the work was done. */
  readonly done: number;
}

/** Times work that is too short to be measured from outside, in nanoseconds: the median of many runs. */
export async function small({ what, library, time }: SmallTask): Promise<Timed> {
  const work = works[what](loadLibrary(library));
  const [first = 0, second = 0] = await medians(work, time);
  return { time: what === 'pool hop' ? second - first : first, done };
}

/** Repetitions in a run: the clock is slower than the work. */
const REPETITIONS = 1_000;

async function medians(works: readonly (() => void)[], time: number): Promise<number[]> {
  const { Bench } = load('tinybench') as Tinybench;
  const bench = new Bench({ time, warmupTime: time / 2 });
  works.forEach((work, index) => bench.add(String(index), repeated(work)));
  await bench.run();
  return bench.tasks.map(({ result }) => (result.latency!.p50 * 1e6) / REPETITIONS);
}

function repeated(work: () => void): () => void {
  return () => {
    for (let index = 0; index < REPETITIONS; index++) work();
  };
}

type Library = ReturnType<typeof loadLibrary>;

const chunk = Buffer.alloc(64);
const idle = { port: 1, autoConnect: false } as const;

/** Counts the work, so that the compiler cannot leave it out. */
let done = 0;
const onData = () => {
  done++;
};

function emitting({ ReconnectingConnection }: Library): () => void {
  const connection = new ReconnectingConnection(idle).on('data', onData);
  return () => void connection.emit('data', chunk);
}

/** The functions to time, each of which does its work once. */
const works = {
  "emit of Node's EventEmitter": () => {
    const emitter = new EventEmitter().on('data', onData);
    return [() => void emitter.emit('data', chunk)];
  },
  emit: (library) => [emitting(library)],
  'pool hop': (library) => {
    const pool = new library.ConnectionPool().on('data', onData);
    const member = pool.add(idle);
    return [emitting(library), () => void member.emit('data', chunk)];
  },
  'default backoff': ({ defaultBackoff }) => [waiting(defaultBackoff())],
  'exponential backoff, full jitter': ({ exponentialBackoff }) => [waiting(exponentialBackoff({ jitter: 'full' }))],
  "connman's backoff": ({ connmanBackoff }) => [waiting(connmanBackoff())],
  'a connection, with its options checked': ({ ReconnectingConnection }) => [
    () => {
      if (new ReconnectingConnection({ host: '127.0.0.1', ...idle }).state === 'idle') done++;
    },
  ],
  'a write into the queue': ({ ReconnectingConnection }) => {
    let connection = new ReconnectingConnection(idle);
    let left = REPETITIONS;
    return [
      () => {
        if (left-- === 0) {
          connection = new ReconnectingConnection(idle);
          left = REPETITIONS;
        }
        connection.write(chunk);
        done++;
      },
    ];
  },
} satisfies Record<string, (library: Library) => (() => void)[]>;

export type SmallWork = keyof typeof works;

/** Their names in the table. */
// `as`: the keys of an object literal of this type.
export const smallWorks = Object.keys(works) as SmallWork[];

function waiting(backoff: (context: { attempt: number; previousDelay: number }) => number | undefined): () => void {
  let attempt = 0;
  return () => {
    attempt = (attempt % 10) + 1;
    if (backoff({ attempt, previousDelay: 1_000 }) !== undefined) done++;
  };
}
