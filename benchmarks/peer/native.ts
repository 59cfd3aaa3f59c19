import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { source } from '../project';

/** The programs in C: the server of `peer.c`, and the client of `client.c`. */
export interface Native {
  readonly peer: string;
  readonly client: string;
}

/** Compiles both into `directory`. */
export async function compileNative(directory: string): Promise<Native> {
  const compile = async (name: string) => {
    const program = join(directory, name);
    await promisify(execFile)('cc', ['-O2', '-o', program, source(`peer/${name}.c`)]);
    return program;
  };
  try {
    return { peer: await compile('peer'), client: await compile('client') };
  } catch (cause) {
    throw new Error('The peer did not compile: the benchmarks need Linux and a C compiler, `cc`', { cause });
  }
}
