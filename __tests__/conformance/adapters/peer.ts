import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where the peers are installed, apart from the project's own dependencies. */
const PEERS = '__tests__/conformance/peers';

/** A library to compare with. */
export interface Peer {
  readonly version: string;
  /** What the library exports. It is not loaded before: some print or start something at once. */
  load(): unknown;
}

/** The peer is not there. */
export class NotInstalled extends Error {
  constructor(name: string) {
    super(`${name} is not installed: run npm ci --prefix ${PEERS}`);
  }
}

/** A peer as it is installed, under the name that the peers' `package.json` gives it. */
export function peer(name: string): Peer {
  // This was compiled to somewhere else, with a link to the project's dependencies: it shows where the project is.
  const project = dirname(realpathSync(join(__dirname, '../../../node_modules')));
  const manifest = join(project, PEERS, 'node_modules', name, 'package.json');
  if (!existsSync(manifest)) throw new NotInstalled(name);
  // `as`: npm installs nothing without a version.
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const require = createRequire(join(project, PEERS, 'package.json'));
  return { version, load: () => require(name) as unknown };
}
