import { loadCertificates } from '../kit/certificates';
import { Loopback } from '../kit/server';

// The servers of the pollution program, in a process of their own, for the pollution is not to reach them.

/** Where they are, and whom to trust. */
export interface Polluted {
  readonly ca: string;
  readonly plain: number;
  readonly secure: number;
  readonly selfSigned: number;
  readonly wrongHost: number;
  readonly trap: number;
  /** The certificate of `selfSigned`. */
  readonly foreign: string;
}

async function main(path: string): Promise<void> {
  const certificates = await loadCertificates();
  const plain = await Loopback.start({ echo: true });
  const secure = await Loopback.start({ echo: true, tls: certificates.server });
  const selfSigned = await Loopback.start({ echo: true, tls: certificates.selfSigned });
  const wrongHost = await Loopback.start({ echo: true, tls: certificates.wrongHost });
  const traps = [await Loopback.start(), await Loopback.start({ path })] as const;
  const servers: Polluted = {
    ca: certificates.ca.cert,
    plain: plain.port,
    secure: secure.port,
    selfSigned: selfSigned.port,
    wrongHost: wrongHost.port,
    trap: traps[0].port,
    foreign: certificates.selfSigned.cert,
  };
  process.send?.(servers);
  process.on('message', () => process.send?.(traps[0].accepted + traps[1].accepted));
  process.on('disconnect', () => process.exit());
}

void main(process.argv[2] ?? '');
