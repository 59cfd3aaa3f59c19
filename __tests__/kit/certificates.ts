import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';

import type * as Selfsigned from 'selfsigned';

/** A certificate and its key, both PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Everything that the tests of TLS need. */
export interface Certificates {
  /** Signs all that are not self-signed. */
  readonly ca: Pair;
  /** A certificate authority that no client trusts. */
  readonly otherCa: Pair;
  /** For `localhost`, `127.0.0.1` and `::1`. */
  readonly server: Pair;
  /** For the same names, later. */
  readonly rotated: Pair;
  /** For `elsewhere.test` only. */
  readonly wrongHost: Pair;
  /** For `localhost`, and no longer valid. */
  readonly expired: Pair;
  /** For `localhost`, signed by itself. */
  readonly selfSigned: Pair;
  /** For a client. */
  readonly client: Pair;
}

const DAY = 86_400_000;
const HERE = [
  { type: 2, value: 'localhost' },
  { type: 7, ip: '127.0.0.1' },
  { type: 7, ip: '::1' },
] as const;

/** Where they are kept: to load the package that makes them takes longer than most tests. */
const KEPT = join(__dirname, extname(__filename) === '.ts' ? '../../temp' : '../../..', 'certificates.json');

let loaded: Promise<Certificates> | undefined;

/** The same for all processes of a day. */
export function loadCertificates(): Promise<Certificates> {
  return (loaded ??= readOrMake());
}

async function readOrMake(): Promise<Certificates> {
  const isFresh = (statSync(KEPT, { throwIfNoEntry: false })?.mtimeMs ?? 0) > Date.now() - DAY;
  // `as`: this file wrote it.
  if (isFresh) return JSON.parse(readFileSync(KEPT, 'utf8')) as Certificates;
  const made = await makeCertificates();
  mkdirSync(dirname(KEPT), { recursive: true });
  // Another process may read it at any moment.
  const own = `${KEPT}.${process.pid}`;
  writeFileSync(own, JSON.stringify(made), { mode: 0o600 });
  renameSync(own, KEPT);
  return made;
}

/** Makes them all: elliptic curves, because RSA keys take seconds. */
async function makeCertificates(): Promise<Certificates> {
  const [ca, otherCa] = await Promise.all([makeAuthority('Test CA'), makeAuthority('Other CA')]);
  const elsewhere = [{ type: 2, value: 'elsewhere.test' }] as const;
  const lastWeek = { notBeforeDate: new Date(Date.now() - 7 * DAY), notAfterDate: new Date(Date.now() - DAY) };
  const [server, rotated, wrongHost, expired, selfSigned, client] = await Promise.all([
    make('localhost', { ca, altNames: HERE }),
    make('localhost', { ca, altNames: HERE }),
    make('elsewhere.test', { ca, altNames: elsewhere }),
    make('localhost', { ca, altNames: HERE, ...lastWeek }),
    make('localhost', { altNames: HERE }),
    make('a client', { ca, altNames: elsewhere }),
  ]);
  return { ca, otherCa, server, rotated, wrongHost, expired, selfSigned, client };
}

function loadGenerator(): typeof Selfsigned {
  // Jest has no `import()`. `as`: the type of what `require` returns.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return require('selfsigned') as typeof Selfsigned;
}

async function makeAuthority(name: string): Promise<Pair> {
  const { generate } = loadGenerator();
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { cert: made.cert, key: made.private };
}

interface Wish {
  readonly ca?: Pair;
  readonly altNames: readonly { readonly type: 2 | 7; readonly value?: string; readonly ip?: string }[];
  readonly notBeforeDate?: Date;
  readonly notAfterDate?: Date;
}

async function make(name: string, { ca, altNames, ...dates }: Wish): Promise<Pair> {
  const { generate } = loadGenerator();
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: [...altNames] },
    ],
    ...(ca && { ca }),
    ...dates,
  });
  return { cert: made.cert, key: made.private };
}
