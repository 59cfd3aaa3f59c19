import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';

import { FileSpool } from 'reconnecting-connection/delivery';

// Appends numbered messages and acknowledges some, until it is killed: node spool-writer-process.js <directory>. Each line of
// its output is a position and what became of it: `c` confirmed, `a` is being acknowledged.
async function main([directory]: readonly string[]): Promise<void> {
  // Small files, so that many begin and end.
  const spool = new FileSpool({ directory: directory!, sync: 'never', maxBytes: 200_000 });
  const { first, messages } = await spool.replay();
  let next = first;
  for await (const message of messages) {
    if (message !== `message ${next}`) throw new Error(`${next} is ${String(message)}`);
    next += 1;
  }
  for (let acknowledged = first - 1; ;) {
    const count = randomInt(1, 40);
    await spool.append(
      Array.from({ length: count }, (_, index) => `message ${next + index}`),
      next,
    );
    next += count;
    writeSync(1, `c ${next - 1}\n`);
    if (next - acknowledged < randomInt(1, 300)) continue;
    acknowledged = next - randomInt(1, 20);
    if (acknowledged < first) continue;
    writeSync(1, `a ${acknowledged}\n`);
    await spool.acknowledge(acknowledged);
  }
}

void main(process.argv.slice(2));
