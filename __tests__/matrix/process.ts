// Plays the cells of one transport and says what became of them: node process.js <transport> <directory>
import { makeCertificates } from '../kit/certificates';
import { cleanUp } from '../kit/clean-up';
import { until } from '../kit/until';
import { type Observation, Thrown } from './cell';
import { type Fault, type State, type Transport, LINE_FAULTS } from './names';
import { Player } from './player';
import { Sockets } from './sockets';
import { Timers } from './timers';

/** What became of the cells, by their states and faults, and what they left in the process. */
export interface Report {
  readonly cells: Partial<Record<State, Partial<Record<Fault, Observation>>>>;
  readonly left: readonly string[];
}

const [, , transport, directory] = process.argv as [string, string, Transport, string];
const left: string[] = [];

process.on('uncaughtException', (error) => {
  if (error instanceof Thrown) error.cell.thrown += 1;
  else left.push(`an uncaught ${error.stack ?? error.message}`);
});

async function play(): Promise<Report> {
  const timers = new Timers();
  const player = new Player(transport, await makeCertificates(), directory, timers);
  await player.start();
  const sockets = new Sockets();
  const waves = [
    async () => {
      const own = player.playOwn();
      for (const fault of LINE_FAULTS) await player.playLine(fault).then(keep);
      keep(await own);
    },
    async () => keep(await player.playFreeze()),
  ];
  const cells: Report['cells'] = {};
  const keep = (played: Awaited<ReturnType<Player['playOwn']>>) => {
    for (const { cell, observation } of played) (cells[cell.state] ??= {})[cell.fault] = observation;
  };
  for (const wave of waves) {
    const before = resources();
    await wave();
    await until(() => resources() === before).catch(() =>
      left.push(`resources: ${before} before, ${resources()} after`),
    );
    await until(() => timers.all().length === 0, { deadline: 2_000 }).catch(() =>
      left.push(...timers.all().map((where) => `a timer set ${where}`)),
    );
    left.push(...sockets.remains());
  }
  return { cells, left };
}

/** What keeps the process alive. */
function resources(): string {
  return process
    .getActiveResourcesInfo()
    .filter((each) => each !== 'Timeout' && each !== 'Immediate')
    .sort()
    .join();
}

void play()
  .catch((error: unknown): Report => {
    left.push(`it broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return { cells: {}, left };
  })
  .then((report) => {
    // Whatever a broken cell holds must not hold the process; the proxy and the listener go when this channel does.
    process.stdout.write(JSON.stringify(report), () => void cleanUp().then(() => process.exit()));
  });
