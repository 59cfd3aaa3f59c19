import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type User, find } from './find-server';

/** The directory of the database that every postgres starts with: made once, for that takes a second. */
let cluster: string | undefined;

/** Puts a database of its own into `directory`, under `data`. */
export function copyCluster(directory: string, user: User): void {
  cluster ??= makeCluster(user);
  execFileSync('cp', ['-R', join(cluster, 'data'), directory], { ...user, cwd: directory });
}

/** Removes what was made. */
export function forgetCluster(): void {
  if (cluster !== undefined) rmSync(cluster, { recursive: true });
  cluster = undefined;
}

function makeCluster(user: User): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid);
  const identity = ['-U', 'postgres', '-A', 'trust', '--locale=C'];
  // Small segments, for every copy has one.
  const args = ['-D', join(directory, 'data'), ...identity, '--wal-segsize=1', '--no-sync'];
  execFileSync(find('initdb') ?? 'initdb', args, { ...user, cwd: directory, stdio: 'pipe' });
  return directory;
}
