/* eslint-disable @typescript-eslint/no-require-imports -- `import` would load them at once */
import type * as Crypto from 'node:crypto';
import type * as Dns from 'node:dns';
import type * as Tls from 'node:tls';
import type * as Threads from 'node:worker_threads';

/**
 * Modules of Node that not every program needs and that are not in Node's startup snapshot: each is loaded by its first
 * use, since together they would double the time to load this library. `as`: `require` has no types.
 */
export const builtins = {
  get crypto(): typeof Crypto {
    return require('node:crypto') as typeof Crypto;
  },
  get dns(): typeof Dns {
    return require('node:dns') as typeof Dns;
  },
  get threads(): typeof Threads {
    return require('node:worker_threads') as typeof Threads;
  },
  get tls(): typeof Tls {
    return require('node:tls') as typeof Tls;
  },
};
