import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { cleanUp, track } from '../kit/clean-up';
import { Loopback } from '../kit/server';

/** Servers that echo, for options that lead to one. */
export interface Lab {
  readonly certificates: Certificates;
  readonly port: number;
  readonly securePort: number;
  /** A Unix socket. */
  readonly path: string;
  close(): Promise<void>;
}

export async function openLab(): Promise<Lab> {
  const certificates = await loadCertificates();
  const directory = mkdtempSync(join(tmpdir(), 'fuzz-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  const path = join(directory, 'echo');
  const plain = await Loopback.start({ echo: true });
  const secure = await Loopback.start({ echo: true, tls: certificates.server });
  await Loopback.start({ echo: true, path });
  return { certificates, port: plain.port, securePort: secure.port, path, close: cleanUp };
}
