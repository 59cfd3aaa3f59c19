import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { UsageError, parseArguments } from './arguments';
import { Command, endBy } from './command';
import { HELP } from './help';

const USAGE = 2;

void main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const command = commandOf(args);
  if (command === undefined) return;
  const outcome = await command.run();
  await new Promise((resolve) => process.stderr.write('', resolve));
  if (typeof outcome === 'string') endBy(outcome);
  // What is left, such as a read of standard input, need not be waited for.
  process.exit(outcome);
}

/** The command that the arguments ask for; undefined where that was a text, or where they are wrong. */
function commandOf(args: readonly string[]): Command | undefined {
  try {
    const settings = parseArguments(args);
    if (typeof settings === 'object') return new Command(settings);
    process.stdout.write(settings === 'help' ? HELP : `${version()}\n`);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`reconnecting-connection: ${error.message} (see --help)\n`);
    process.exitCode = USAGE;
  }
  return undefined;
}

function version(): string {
  // `as`: it is our own.
  const { version } = JSON.parse(readFileSync(join(__dirname, '../package.json'), 'utf8')) as { version: string };
  return version;
}
