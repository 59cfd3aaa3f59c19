import type { ReconnectingConnection } from '../connection';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents } from '../events/events';

/** The events of a pool: those of its members, each with the member's tag and the member itself appended. */
export type PoolEvents<Message = unknown> = {
  [K in keyof ConnectionEvents<Message>]: (
    ...args: [...Parameters<ConnectionEvents<Message>[K]>, tag: string, connection: ReconnectingConnection<Message>]
  ) => void;
};

/** Delivers an event of `member` to the listeners of its pool. */
export function forward<Message>(
  delivery: DeliveryQueue<PoolEvents<Message>>,
  member: ReconnectingConnection<Message>,
  event: keyof ConnectionEvents,
  args: readonly unknown[],
): void {
  const { tag } = member;
  // `as`: `args` are those of `event`. `data` is apart because it is frequent, and this way spreads nothing.
  if (event === 'data') delivery.deliver('data', args[0] as Buffer, tag, member);
  else delivery.deliver(event, ...([...args, tag, member] as never));
}
