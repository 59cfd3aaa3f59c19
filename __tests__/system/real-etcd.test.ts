import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { track, trackProcess } from '../kit/clean-up';
import '../kit/loopback';
import { titled } from '../kit/missing';
import { RealServer } from '../kit/real-servers';
import { missing } from '../kit/server-recipes';
import { snippetsIn } from '../kit/snippets';
import { until } from '../kit/until';

const root = join(__dirname, '..', '..');
const guide = snippetsIn(readFileSync(join(root, 'docs/guides/membership.md'), 'utf8'), 'membership.md');
const [serverCode, clientCode] = guide.filter(({ notRun }) => notRun?.includes('etcd')).map(({ code }) => code);

/** Starts a program in a process of its own, and collects its lines. */
function start(code: string | undefined, etcd: RealServer): { child: ChildProcess; lines: string[] } {
  // In the repository, where the package finds itself by its name.
  const folder = mkdtempSync(join(root, 'temp', 'etcd-'));
  track({ destroy: () => rmSync(folder, { recursive: true }) });
  const file = join(folder, 'program.mjs');
  writeFileSync(file, code ?? '');
  const child = trackProcess(
    spawn(process.execPath, [file], {
      env: { ...process.env, ETCD: `http://127.0.0.1:${etcd.port}`, NODE_OPTIONS: undefined },
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trimEnd().split(/ *\n/)));
  return { child, lines };
}

const reason = missing('etcd');

(reason === undefined ? describe : describe.skip)(titled('etcd, with the programs of the guide', reason), () => {
  test('a server that is killed leaves when its lease ends, another joins, and no write is lost after that', async () => {
    const etcd = await RealServer.start('etcd');
    const [one, two] = [start(serverCode, etcd), start(serverCode, etcd)];
    await until(() => one.lines.length + two.lines.length === 2);
    const client = start(clientCode, etcd);
    await until(() => client.lines.includes('list 2 0'));

    const killedAt = performance.now();
    one.child.kill('SIGKILL');
    await until(() => client.lines.at(-1) === 'list 0 1');
    // The lease was renewed half a second before its end at the latest, and etcd looks for leases that have ended by itself.
    expect(performance.now() - killedAt).toBeGreaterThan(1_000);
    const before = client.lines.length;
    start(serverCode, etcd);
    await until(() => client.lines.at(-1) === 'list 1 0');
    expect(client.lines.slice(before)).toEqual(['list 1 0']);

    const exit = once(client.child, 'exit');
    client.child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    expect(client.lines.slice(before)).toEqual(['list 1 0']);
  });
});
