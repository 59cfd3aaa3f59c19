/** A message of a window. */
export type DeliveryMessage = string | Uint8Array;

/**
 * Where a window keeps its messages, so that they survive the process. One of these calls runs at a time: the next comes
 * when what the last has returned is settled. An error of `replay` stops the window. After one of `append` or `acknowledge`
 * the window emits `error`, and repeats the call a second later, or sooner when messages are acknowledged.
 *
 * The positions of the messages have no gaps: each is one above that of the message before it.
 */
export interface Spool {
  /**
   * Called once, before all others.
   *
   * @returns what was not acknowledged, from the first message on
   */
  replay(): Replay | PromiseLike<Replay>;

  /**
   * Keeps messages. It may only return, or resolve, when they would survive a crash: the window sends them from then on.
   * While it runs, the window gathers further messages for the next call. If it throws or rejects, it has to have kept none.
   *
   * @param messages - At least one. Bytes are valid until it returns or resolves. After an error, fewer are tried.
   * @param first - The position of the first of them, which is the one after the last that was appended.
   */
  append(messages: readonly DeliveryMessage[], first: number): void | PromiseLike<void>;

  /**
   * The peer has the message at `position` and all before it: they are not needed any more. If a crash undoes this, they
   * are sent again.
   */
  acknowledge(position: number): void | PromiseLike<void>;
}

/** What a {@link Spool} has kept. */
export interface Replay {
  /** The position of the first message, or of the next one if there are none: it must survive even then. */
  readonly first: number;
  /**
   * The messages in their order. A string must come back as a string, and bytes as bytes; undefined stands for a message that
   * is damaged: it is passed over, so that the later ones keep their positions.
   */
  readonly messages: Iterable<DeliveryMessage | undefined> | AsyncIterable<DeliveryMessage | undefined>;
}
