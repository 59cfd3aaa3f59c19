import type { MemberOptions } from 'reconnecting-connection';

import { bare, corked, reused } from './bare';
import type { Address, Connector } from './endpoint';
import { loadLibrary, ours, pooled } from './ours';
import { connman, netSocket, netSocketReconnect, reconnectNet } from './peers';

/** The client that is measured. */
export interface Setup {
  readonly client: ClientName;
  /** The directory of this library, for `ours` and `pooled`. */
  readonly library?: string;
  readonly options?: MemberOptions;
}

/** Work for a client process. */
export interface Task extends Setup {
  readonly address: Address;
}

const others = { bare, reused, corked, connman, reconnectNet, netSocket, netSocketReconnect };

export type ClientName = 'ours' | 'pooled' | keyof typeof others;

export function connectorFor({ client, library = '', options = {} }: Setup): Connector {
  if (client === 'ours') return ours(loadLibrary(library), options);
  if (client === 'pooled') return pooled(loadLibrary(library), options);
  return others[client];
}
