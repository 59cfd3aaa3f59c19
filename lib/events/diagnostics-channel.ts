import { type Channel, channel } from 'node:diagnostics_channel';

/** The events that are published on channels: all but the frequent ones. */
export type ChannelEvent = 'open' | 'reset' | 'backoff' | 'drop' | 'close';

/** Held here, for Node forgets a channel that nobody holds and with it who subscribed. */
const channels: Readonly<Record<ChannelEvent, Channel>> = {
  open: channel('reconnecting-connection:connection:open'),
  reset: channel('reconnecting-connection:connection:reset'),
  backoff: channel('reconnecting-connection:connection:backoff'),
  drop: channel('reconnecting-connection:connection:drop'),
  close: channel('reconnecting-connection:connection:close'),
};

/** Publishes an event of `connection` on its channel; makes nothing where nobody has subscribed. */
export function publish(connection: { readonly tag: string }, event: ChannelEvent, info: object): void {
  const channel = channels[event];
  // What a subscriber throws becomes an uncaught exception of its own: Node sees to that.
  if (channel.hasSubscribers) channel.publish({ connection, tag: connection.tag, ...info });
}
