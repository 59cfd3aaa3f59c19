import { generate } from 'selfsigned';

/** A certificate and its key, both PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Everything that the tests of TLS need, made in memory, once for each test file that asks. */
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

/** Makes them all: elliptic curves, for RSA keys take seconds. */
export async function makeCertificates(): Promise<Certificates> {
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

let made: Promise<Certificates> | undefined;

/** The same for everyone in this process. */
export function certificates(): Promise<Certificates> {
  return (made ??= makeCertificates());
}

async function makeAuthority(name: string): Promise<Pair> {
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
