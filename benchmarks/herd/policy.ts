import type { Backoff } from '../../lib/options/backoff';

/** A backoff, with its connect timeout. */
export interface Policy {
  readonly name: string;
  /** Its source. */
  readonly origin: string;
  /** A short description. */
  readonly waits: string;
  readonly backoff: (random: () => number) => Backoff;
  /** Milliseconds after which a dial without an answer fails. */
  readonly connectTimeout: number;
  /** The wait counts from the start of the failed dial. Default: from its end. */
  readonly waitsFrom?: 'start';
}
