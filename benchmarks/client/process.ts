import { type FleetTask, fleet } from './fleet';
import { type MemoryTask, memory } from './memory';
import { type RecoveryTask, recover } from './recovery';
import { type SlicesTask, inSlices } from './slices';
import { type TlsTask, tls } from './tls';

// The process of a client: node process.js TASK, with the task as JSON. It prints its figures as JSON, and ends.

export type Work = SlicesTask | MemoryTask | TlsTask | RecoveryTask | FleetTask;

function figures(task: Work): Promise<object> {
  switch (task.work) {
    case 'slices':
      return inSlices(task);
    case 'memory':
      return memory(task);
    case 'tls':
      return tls(task);
    case 'recovery':
      return recover(task);
    case 'fleet':
      return fleet(task);
  }
}

// It ends with the process that started it.
process.stdin.resume().on('end', () => process.exit());

// `as`: written by the process that started this one.
void figures(JSON.parse(process.argv[2]!) as Work).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
