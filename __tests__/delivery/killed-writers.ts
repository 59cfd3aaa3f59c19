import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';

import { FileSpool } from 'reconnecting-connection/delivery';

import { trackProcess } from '../kit/clean-up';
import { compiled } from '../kit/compiled';

/** Kills so many processes while they append to the spool in `directory`, one after the other, and compares after each. */
export async function killWriters(kills: number, directory: string) {
  const problems: string[] = [];
  let confirmed = 0;
  for (let left = kills; left > 0; left--) {
    const child = spawn(process.execPath, [await compiled('delivery/spool-writer-process'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    trackProcess(child);
    let output = '';
    // As soon as it has written that much: at any moment of its work.
    const length = randomInt(1, 4_000);
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      if (output.length >= length) child.kill('SIGKILL');
    });
    await once(child, 'close');
    if (child.signalCode !== 'SIGKILL') problems.push(`It ended with ${String(child.exitCode)}`);
    const last = (kind: string) => Number(RegExp(`.*^${kind} (\\d+)$`, 'ms').exec(output)?.[1] ?? 0);
    const spool = new FileSpool({ directory, sync: 'never', onCorrupt: (error) => problems.push(error.message) });
    const { first, messages } = await spool.replay();
    let next = first;
    for await (const message of messages) {
      if (message !== `message ${next}`) problems.push(`${next} is ${String(message)}`);
      next += 1;
    }
    if (next <= last('c')) problems.push(`${last('c')} was confirmed, the next is ${next}`);
    if (first - 1 > Math.max(last('a'), confirmed))
      problems.push(`${first} is the first, ${last('a')} was acknowledged`);
    confirmed = Math.max(confirmed, first - 1);
    await spool.close();
  }
  return { problems, acknowledged: confirmed };
}
