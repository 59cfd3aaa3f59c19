import type { ChannelEvent } from './channels';
import type { ReconnectingConnection } from './connection';
import type { ConnectionEvents } from './events';

/**
 * What a subscriber to the `node:diagnostics_channel` called `reconnecting-connection:connection:` and the event's name
 * is handed: the payload of the event, with the connection and its tag. It is published once, before the listeners of
 * the connection and of its pool hear of it.
 */
export type ChannelMessage<E extends ChannelEvent = ChannelEvent> = Parameters<ConnectionEvents[E]>[0] & {
  /** The connection itself, a member of a pool or not. */
  readonly connection: ReconnectingConnection;
  /** Its target as text, such as `127.0.0.1:6379`. */
  readonly tag: string;
};
