import type { ConnectionOptions } from 'reconnecting-connection';

import { bare, corked, reused } from './bare';
import type { Connector, Place } from './endpoint';
import { loadLibrary, ours, pooled } from './ours';
import { connman, netSocket, netSocketReconnect, reconnectNet } from './peers';

/** Who is measured. */
export interface Who {
  readonly client: ClientName;
  /** Where this library is, for `ours` and `pooled`. */
  readonly library?: string;
  readonly options?: ConnectionOptions;
}

/** What a client process is asked to do. */
export interface Task extends Who {
  readonly place: Place;
}

const others = { bare, reused, corked, connman, reconnectNet, netSocket, netSocketReconnect };

export type ClientName = 'ours' | 'pooled' | keyof typeof others;

/** What makes clients for a task. */
export function connectorFor({ client, library = '', options = {} }: Who): Connector {
  if (client === 'ours') return ours(loadLibrary(library), options);
  if (client === 'pooled') return pooled(loadLibrary(library), options);
  return others[client];
}
