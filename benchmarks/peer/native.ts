import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { source } from '../project';

/** What a C compiler made of our own sources. */
export interface Native {
  /** The server of `peer.c`. */
  readonly peer: string;
  /** The client of `client.c`. */
  readonly client: string;
}

/** Compiles both into `directory`; undefined where there is no compiler, or no Linux. */
export async function compileNative(directory: string): Promise<Native | undefined> {
  const compile = async (name: string) => {
    const program = join(directory, name);
    await promisify(execFile)('cc', ['-O2', '-o', program, source(`peer/${name}.c`)]);
    return program;
  };
  if (process.platform !== 'linux') return undefined;
  try {
    return { peer: await compile('peer'), client: await compile('client') };
  } catch (error) {
    // `as`: whatever it is that `execFile` rejects with, it is an Error.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
