import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { prepare } from './measure';
import { streams } from './stream';

// The program of one stream: node stream-process.js <name> <seconds> [first seed]. Prints what it found as JSON.
async function main([name, seconds, seed = '1']: readonly string[]): Promise<void> {
  const stream = streams.find((each) => each.name === name);
  if (stream === undefined) throw new Error(`There is no stream called ${String(name)}`);
  // In a private network it is started without flags.
  setFlagsFromString('--expose-gc');
  // `as`: what V8 calls by this name in every new context.
  globalThis.gc ??= runInNewContext('gc') as NodeJS.GCFunction;
  await prepare();
  process.stdout.write(JSON.stringify(await stream.measure(Number(seconds), Number(seed))) + '\n');
}

// A way out that other processes hear of: one that was stopped would not notice that this one is gone.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));
void main(process.argv.slice(2));
