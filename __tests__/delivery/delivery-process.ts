import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { missing } from '../kit/server-recipes';
import type { Finding } from '../soak/measure';
import { killWriters } from './killed-writers';
import { ship } from './outages';

/** What `npm run soak -- --only delivery` runs: each by its name, with how many messages or kills the long run has. */
export const deliveries: readonly {
  readonly name: string;
  readonly full: number;
  readonly measure: (count: number) => Promise<Finding>;
}[] = [
  { name: 'delivery to rsyslog', full: 1_000_000, measure: toRsyslog },
  { name: 'delivery to a peer that says what it has', full: 1_000_000, measure: toLines },
  { name: 'killed writers of a spool', full: 200, measure: killed },
];

/** One outage for so many messages. */
const MESSAGES_AN_OUTAGE = 5_000;

async function toRsyslog(count: number): Promise<Finding> {
  if (missing('rsyslog') !== undefined) return { figures: { skipped: 1 }, problems: [] };
  return ship('relp', count, count / MESSAGES_AN_OUTAGE, Date.now());
}

async function toLines(count: number): Promise<Finding> {
  const { figures, problems } = await ship('lines', count, count / MESSAGES_AN_OUTAGE, Date.now());
  const twice = figures['duplicates']!;
  return { figures, problems: twice === 0 ? problems : [...problems, `${twice} messages came twice`] };
}

async function killed(count: number): Promise<Finding> {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'));
  const { problems, acknowledged } = await killWriters(count, directory);
  rmSync(directory, { recursive: true });
  return { figures: { kills: count, acknowledged }, problems };
}

// The program of one of them: node delivery-process.js <name> <count>. Prints what it found as JSON.
async function main([name, count]: readonly string[]): Promise<void> {
  const delivery = deliveries.find((each) => each.name === name);
  if (delivery === undefined) throw new Error(`There is no delivery called ${String(name)}`);
  process.stdout.write(JSON.stringify(await delivery.measure(Number(count))) + '\n');
}

if (require.main === module) void main(process.argv.slice(2));
