import type { ReconnectingConnection } from '../connection';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents } from '../events/events';

/** The events of a pool: every event of a member, followed by the member's tag and the member. */
export type PoolEvents<Message = unknown> = {
  [K in keyof ConnectionEvents<Message>]: (
    ...args: [...Parameters<ConnectionEvents<Message>[K]>, tag: string, connection: ReconnectingConnection<Message>]
  ) => void;
};

/** Delivers an event of a member to the listeners of its pool. */
export function forward<Message>(
  delivery: DeliveryQueue<PoolEvents<Message>>,
  member: ReconnectingConnection<Message>,
  event: keyof ConnectionEvents,
  args: readonly unknown[],
): void {
  const { tag } = member;
  // `as`: `args` are the arguments of `event`. `data` is frequent: without the spread it allocates less.
  if (event === 'data') delivery.deliver('data', args[0] as Buffer, tag, member);
  else delivery.deliver(event, ...([...args, tag, member] as never));
}
