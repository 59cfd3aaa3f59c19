import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type User, find } from './find-server';

/** The directory of the database that every postgres starts with: made once, for that takes a second. */
let cluster: string | undefined;

/** Statements, one to a line. */
const FORGET_TEMPLATES = `update pg_database set datistemplate = false
drop database template0
drop database template1
`;

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
  const data = join(directory, 'data');
  const call = (binary: string, args: readonly string[], input = '') =>
    execFileSync(find(binary) ?? binary, args, { ...user, cwd: directory, stdio: 'pipe', input });
  // Small segments and one database, for each server has a copy of all that is there.
  call('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '--locale=C', '--wal-segsize=1', '--no-sync']);
  call('postgres', ['--single', '-D', data, 'postgres'], FORGET_TEMPLATES);
  return directory;
}
