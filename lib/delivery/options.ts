import type { WriteChunk } from 'reconnecting-connection';

import { invalidOption } from '../errors';
import { type Check, checkRecord, func, integer } from '../options/checks';
import type { DeliveryMessage, Spool } from './spool';

/** Options of {@link DeliveryWindow}. */
export interface DeliveryOptions<Message extends DeliveryMessage = string> {
  /**
   * Returns what is written for a message: with framing, and in most protocols with the position. It is called anew each
   * time that the message is sent, and must not change its bytes. What it throws, or returns besides chunks, stops the
   * window.
   */
  readonly encode: (position: number, message: Message) => WriteChunk;
  /**
   * The most bytes of messages that the window keeps until they are acknowledged. In memory a small message takes 10 to 25
   * bytes more, and a large one up to twice its bytes.
   */
  readonly maxBytes: number;
  /** Keeps messages for the next process. A message is sent once it is there. Default: none. */
  readonly spool?: Spool | undefined;
}

/** A message that {@link DeliveryWindow.close} hands back. */
export interface Unacknowledged<Message extends DeliveryMessage = string> {
  /** Its position in the window. */
  readonly position: number;
  /** A string if it was sent as a string, otherwise a Buffer. */
  readonly message: Message;
}

/**
 * `starting`: the spool is replayed, and no message is taken. `ready`: messages are taken and sent. `failed`: no message is
 * taken or sent any more. `closed`: after `close()`.
 */
export type DeliveryState = 'starting' | 'ready' | 'failed' | 'closed';

/** Figures of a window. Counts are of messages, and totals: `taken + replayed = acknowledged + unacknowledged.messages`. */
export interface DeliveryStats {
  /** Whether messages are taken and sent. */
  readonly state: DeliveryState;
  /** Messages that `send()` took. */
  readonly taken: number;
  /** Messages that the spool had kept from earlier processes. */
  readonly replayed: number;
  /** Messages that the peer has, by `acknowledge()` or `forget()`. */
  readonly acknowledged: number;
  /** Messages that wait for their acknowledgement, and their bytes. */
  readonly unacknowledged: {
    /** Number of messages. */
    readonly messages: number;
    /** Their bytes, without what `encode` adds. */
    readonly bytes: number;
  };
  /** Those of them that the spool has not kept yet; 0 without one. */
  readonly unspooled: number;
  /** Calls of `send()` that threw since the window was full. */
  readonly refused: number;
  /** Messages that were written to a session, each as often as it was written. */
  readonly sent: number;
  /** Those of them that an earlier session had been given already. */
  readonly resent: number;
}

/** The events of {@link DeliveryWindow}, with their arguments. */
export type DeliveryWindowEvents = {
  /** There is room again, after `send()` has returned false or found the window full. */
  drain: [];
  /** The peer has the message at this position and all before it. */
  acknowledged: [position: number];
  /**
   * The spool has failed: once, until it has kept all messages, and `send()` goes on while there is room. Or its replay or
   * `encode` has failed: the window has stopped. Without a listener, the process emits a warning.
   */
  error: [error: Error];
};

const spool: Check<Spool> = (value, name) => {
  const { append, acknowledge, replay } = (value ?? {}) as Record<string, unknown>;
  if ([append, acknowledge, replay].every((member) => typeof member === 'function')) return value as Spool;
  throw invalidOption(name, 'an object with the methods `append`, `acknowledge` and `replay`', value);
};

/** Checks the options. */
export function resolveOptions<Message extends DeliveryMessage>(options: unknown): DeliveryOptions<Message> {
  const maxBytes = integer(1);
  const given = checkRecord<DeliveryOptions<Message>>('', options, { encode: func, maxBytes, spool });
  func(given.encode, 'option `encode`');
  // Required: only the application knows how much memory an outage may take.
  maxBytes(given.maxBytes, 'option `maxBytes`');
  return given;
}

/** By its members: a connection may come from another realm, as test runners have them. */
export function checkConnection(connection: unknown): void {
  const { write, on, off } = (connection ?? {}) as Record<string, unknown>;
  if ([write, on, off].every((member) => typeof member === 'function') && 'generation' in Object(connection)) return;
  throw invalidOption('`connection`', 'a ReconnectingConnection (of a pool, one of its members)', connection);
}
