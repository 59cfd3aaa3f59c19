import { open, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Takes a directory for this process, by a file that names it. Each process first makes its own file and then looks for
 * others: of two that start together, at least one sees the other. Files of processes that have ended are removed.
 *
 * @returns the path of the file
 */
export async function lockDirectory(directory: string): Promise<string> {
  const own = `lock.${(await identityOf(process.pid)) ?? process.pid}`;
  const path = join(directory, own);
  try {
    await (await open(path, 'wx', 0o600)).close();
  } catch (error) {
    // `as`: `open` throws nothing else.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new Error('This process uses it already', { cause: error });
    throw error;
  }
  for (const name of await readdir(directory)) {
    const pid = /^lock\.(\d+)/.exec(name)?.[1];
    if (pid === undefined || name === own) continue;
    if (name === `lock.${await identityOf(Number(pid))}`) {
      await rm(path);
      throw new Error(`Process ${pid} uses it: ${name}`);
    }
    await rm(join(directory, name), { force: true });
  }
  return path;
}

/** The id of a process, and on Linux when it started, for ids are used again; undefined for a process that has ended. */
async function identityOf(pid: number): Promise<string | undefined> {
  try {
    process.kill(pid, 0);
    if (process.platform !== 'linux') return String(pid);
    const [stat, boot] = await Promise.all([`${pid}/stat`, 'sys/kernel/random/boot_id'].map(readProc));
    // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: fields 3 and 22. The second, in parentheses, may hold spaces.
    const fields = stat!.slice(stat!.lastIndexOf(')')).split(' ');
    // A zombie has ended.
    return fields[1] === 'Z' ? undefined : `${pid}.${fields[20]}.${boot}`;
  } catch {
    return undefined;
  }
}

async function readProc(path: string): Promise<string> {
  return (await readFile(`/proc/${path}`, 'utf8')).trim();
}
