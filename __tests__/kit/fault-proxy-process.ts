// The published proxy in a process of its own, where nothing that its parent does holds it up. It obeys its parent's messages.
import { type CutAfterOptions, type Direction, type Faults, FaultProxy } from 'reconnecting-connection/testing';

/** A port, or a Unix socket. */
export type Place = { readonly port: number; readonly host?: string } | { readonly path: string };

/** What the proxy knows, and the memory of its process in bytes. */
export type ProxyStats = FaultProxy['stats'] & { readonly rss: number };

let proxy: FaultProxy | undefined;

/** What the parent may ask for. */
const methods = {
  /** Listens at `place`, in front of `target`. Returns where. */
  start: async (target: Place, place: Place): Promise<Place> => {
    proxy = await FaultProxy.start({ target, ...('path' in place ? { path: place.path } : { port: place.port }) });
    return proxy.target;
  },
  set: (faults: Faults, direction: Direction | 'both') => started().set(faults, direction),
  clear: () => started().clear(),
  clients: (treatment: Parameters<FaultProxy['clients']>[0]) => started().clients(treatment),
  cutAfter: (bytes: number, options: CutAfterOptions) => started().cutAfter(bytes, options),
  cut: (how: 'drop' | 'reset') => started().cut(how),
  refuse: () => started().refuse(),
  accept: () => started().accept(),
  stats: (): ProxyStats => ({ ...started().stats, rss: process.memoryUsage.rss() }),
};

function started(): FaultProxy {
  if (proxy === undefined) throw new Error('It was not started');
  return proxy;
}

export type Methods = typeof methods;

/** What the parent asks for: a method, and what to give it. */
export type Request = {
  [Method in keyof Methods]: {
    readonly id: number;
    readonly method: Method;
    readonly args: Parameters<Methods[Method]>;
  };
}[keyof Methods];

/** What it comes to. */
export type Reply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

async function answer({ id, method, args }: Request): Promise<Reply> {
  try {
    // `as`: the arguments belong to the method, which the compiler cannot follow through the union.
    const call = methods[method] as (...args: unknown[]) => unknown;
    return { id, result: await call(...args) };
  } catch (error) {
    return { id, error: String(error) };
  }
}

process.on('message', (request) => {
  // `as`: nobody but the parent's own `FaultProxy` has the other end of this channel.
  void answer(request as Request).then((reply) => process.send?.(reply));
});
// No parent, no proxy.
process.on('disconnect', () => process.exit());
