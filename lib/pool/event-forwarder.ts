import type { DeliveryQueue } from '../events/delivery-queue';
import type { ReconnectingConnection } from '../connection';
import { RELAY, type Relay } from '../events/emitter';
import type { ConnectionEvents, StateName } from '../events/events';

/** The events of a pool: those of its members, each with the member's tag and the member itself appended. */
export type PoolEvents<Message = unknown> = {
  [K in keyof ConnectionEvents<Message>]: (
    ...args: [...Parameters<ConnectionEvents<Message>[K]>, tag: string, connection: ReconnectingConnection<Message>]
  ) => void;
};

/** What a forwarder tells its pool. */
export interface ForwarderHost<Message> {
  onState(member: ReconnectingConnection<Message>, previous: StateName): void;
  /** Whether a writer waits for a member to open; it is told now. */
  takeRoom(): boolean;
  /** Its `close` has been told to everyone. */
  onClosed(member: ReconnectingConnection<Message>): void;
}

type Tellers<Message> = {
  readonly [K in Exclude<keyof ConnectionEvents<Message>, 'data'>]: (
    this: ReconnectingConnection<Message>,
    ...args: Parameters<ConnectionEvents<Message>[K]>
  ) => void;
};

/** Tells a pool's listeners what its members tell theirs. One relay serves them all. */
export class EventForwarder<Message> {
  readonly #relay: Relay;

  constructor(announcer: DeliveryQueue<PoolEvents<Message>>, host: ForwarderHost<Message>) {
    const tellers: Tellers<Message> = {
      open(info) {
        announcer.deliver('open', info, this.tag, this);
        if (host.takeRoom()) announcer.deliver('drain', this.tag, this);
      },
      message(message) {
        announcer.deliver('message', message, this.tag, this);
      },
      reset(info) {
        announcer.deliver('reset', info, this.tag, this);
      },
      backoff(info) {
        announcer.deliver('backoff', info, this.tag, this);
      },
      drain() {
        announcer.deliver('drain', this.tag, this);
      },
      drop(info) {
        announcer.deliver('drop', info, this.tag, this);
      },
      state(next, previous) {
        host.onState(this, previous);
        announcer.deliver('state', next, previous, this.tag, this);
      },
      close(info) {
        announcer.deliver('close', info, this.tag, this);
        announcer.enqueue(() => host.onClosed(this));
      },
    };
    this.#relay = (member: ReconnectingConnection<Message>, event, args) => {
      // `as`: what is emitted under a name has its arguments. Of all events, `data` has to be quick.
      if (event === 'data') announcer.deliver('data', args[0] as Buffer, member.tag, member);
      // An application may emit under any name, `toString` too.
      else if (Object.hasOwn(tellers, event)) tellers[event as 'message'].call(member, ...(args as [Message]));
    };
  }

  /** Forwards the events of `member` from now on. */
  add(member: ReconnectingConnection<Message>): void {
    member[RELAY](this.#relay);
  }

  remove(member: ReconnectingConnection<Message>): void {
    member[RELAY](undefined);
  }
}
