import { type CycleTask, cycle } from './cycle';
import { type MemoryTask, memory } from './memory';
import { type FloodTask, type TrickleTask, flood, trickle } from './receive';
import { type RecoveryTask, recover } from './recovery';
import { type RoundTripTask, roundTrip } from './round-trip';
import { type SendTask, send } from './send';
import { type SmallTask, small } from './small';

// The process of a client: node process.js TASK, with the task as JSON. It prints its figures as JSON, and ends.

export type Work = FloodTask | TrickleTask | SendTask | RoundTripTask | MemoryTask | CycleTask;

function figures(task: Work | RecoveryTask | SmallTask): Promise<object> {
  switch (task.work) {
    case 'flood':
      return flood(task);
    case 'trickle':
      return trickle(task);
    case 'send':
      return send(task);
    case 'round trip':
      return roundTrip(task);
    case 'memory':
      return memory(task);
    case 'cycle':
      return cycle(task);
    case 'recovery':
      return recover(task);
    case 'small':
      return small(task);
  }
}

// It ends with the process that started it.
process.stdin.resume().on('end', () => process.exit());

// `as`: written by the process that started this one.
void figures(JSON.parse(process.argv[2]!) as Work | RecoveryTask | SmallTask).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
