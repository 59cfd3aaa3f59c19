import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { source } from '../project';

/** Compiles the server of `peer.c` into `directory`, and returns its path. */
export async function compilePeer(directory: string): Promise<string> {
  const program = join(directory, 'peer');
  try {
    await promisify(execFile)('cc', ['-O2', '-o', program, source('peer/peer.c')]);
    return program;
  } catch (cause) {
    throw new Error('The peer did not compile: the benchmarks need Linux and a C compiler, `cc`', { cause });
  }
}
