import { setImmediate as immediate } from 'node:timers/promises';
import nodeTls from 'node:tls';

import type { Figures } from '../contest';
import type { Address } from './endpoint';
import { memoryUsage } from './memory';
import { Meter } from './meter';
import { loadLibrary } from './ours';

export interface TlsTask {
  readonly work: 'tls';
  /** Of bare sockets: whether all share a secure context, or each makes its own of the certificate. */
  readonly client: 'ours' | 'bare, shared context' | 'bare, own context';
  readonly library?: string;
  readonly count: number;
  readonly address: Address;
  readonly ca: string;
}

/** Clients before the measurement begins. */
const FIRST = 100;

/** Constructs connections with the same certificate, then opens all. The figures are for each, but for `contexts`. */
export async function tls({ client, library = '', count, address, ca }: TlsTask): Promise<Figures> {
  const { createSecureContext } = nodeTls;
  let contexts = 0;
  nodeTls.createSecureContext = (options) => {
    contexts++;
    return createSecureContext(options);
  };
  let opened = 0;
  const onOpen = () => {
    opened++;
  };
  const open = async (connects: readonly (() => unknown)[]) => {
    const total = opened + connects.length;
    for (const connect of connects) connect();
    while (opened < total) await immediate();
  };
  const make = maker();
  const construct = (more: number) => Array.from({ length: more }, make);

  function maker(): () => () => unknown {
    if (client === 'ours') {
      const { ReconnectingConnection } = loadLibrary(library);
      return () => {
        const connection = new ReconnectingConnection({ ...address, autoConnect: false, tls: { ca } });
        connection.on('open', onOpen);
        return () => connection.connect();
      };
    }
    const secureContext = client === 'bare, shared context' ? createSecureContext({ ca }) : undefined;
    const options = { ...address, noDelay: true, ...(secureContext === undefined ? { ca } : { secureContext }) };
    return () => () => nodeTls.connect({ ...options }, onOpen).on('error', fail);
  }

  await open(construct(FIRST));
  const before = await memoryUsage();
  const firstContexts = contexts;
  const meter = new Meter();
  const constructed = construct(count);
  const making = meter.read();
  const made = await memoryUsage();
  const opening = new Meter();
  await open(constructed);
  const { user, system } = opening.read();
  const after = await memoryUsage();
  return {
    count,
    contexts: contexts - (client === 'ours' ? 0 : firstContexts),
    ...(client === 'ours' && {
      making: (making.user + making.system) / count / 1e3,
      made: (made.heapUsed - before.heapUsed) / count,
    }),
    cpu: (making.user + making.system + user + system) / count,
    heap: (after.heapUsed - before.heapUsed) / count,
    resident: (after.rss - before.rss) / count,
  };
}

function fail(error: Error): never {
  throw error;
}
