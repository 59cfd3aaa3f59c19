import type { MemberOptions } from 'reconnecting-connection';

import { type WayName, bare } from './bare';
import { connman } from './connman';
import type { Address, Connector, Handlers, Own, Writer } from './endpoint';
import { loadLibrary, ours, pooled } from './ours';

/** The client that is measured. */
export interface Setup {
  readonly client: 'ours' | 'pooled' | 'connman' | WayName;
  /** The directory of this library, for `ours` and `pooled`. */
  readonly library?: string;
  readonly options?: MemberOptions;
  readonly own?: Own;
}

/** A client with its name in the tables. */
export type Named = Setup & { readonly name: string };

/** Work for a client process. */
export interface Task extends Setup {
  readonly address: Address;
}

export function connectorFor({ client, library = '', options = {}, own = {} }: Setup): Connector {
  if (client === 'ours') return ours(loadLibrary(library), options, own);
  if (client === 'pooled') return pooled(loadLibrary(library), options, own);
  if (client === 'connman') return connman;
  return bare(client, own);
}

/** Opens one connection. */
export function opened(task: Task, handlers: Omit<Handlers, 'onOpen'>): Promise<Writer> {
  return new Promise((resolve) => connectorFor(task)(task.address, { ...handlers, onOpen: resolve }, 'default')());
}
