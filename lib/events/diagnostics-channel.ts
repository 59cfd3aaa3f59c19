import { type Channel, channel } from 'node:diagnostics_channel';

import { debug, eventText } from './debug-log';

/** The events that are published on channels: all but the frequent ones. */
export type ChannelEvent = 'open' | 'reset' | 'backoff' | 'drop' | 'close';

/** Kept in this module: Node drops a channel that nothing references, with its subscribers. */
const channels: Readonly<Record<ChannelEvent, Channel>> = {
  open: channel('reconnecting-connection:connection:open'),
  reset: channel('reconnecting-connection:connection:reset'),
  backoff: channel('reconnecting-connection:connection:backoff'),
  drop: channel('reconnecting-connection:connection:drop'),
  close: channel('reconnecting-connection:connection:close'),
};

/**
 * Publishes an event of `connection` on its channel, where it has one with subscribers, and reports it for `NODE_DEBUG`. Part
 * of every delivery.
 */
export function publish(connection: { readonly tag: string }, event: PropertyKey, args: readonly unknown[]): void {
  // The frequent events have none.
  if (event === 'data' || event === 'message') return;
  debug?.(connection, eventText(event, args));
  // `as`: it may be any event, and then there is no channel.
  const channel = channels[event as ChannelEvent] as Channel | undefined;
  // Node makes an uncaught exception of each error that a subscriber throws.
  if (channel?.hasSubscribers === true) channel.publish({ connection, tag: connection.tag, ...(args[0] as object) });
}
