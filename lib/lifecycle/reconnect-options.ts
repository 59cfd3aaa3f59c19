import { checkRecord, delay as checkDelay } from '../options/checks';

/** Options of `reconnect()`. */
export interface ReconnectOptions {
  /** Milliseconds until the next dial may begin, at most 2,147,483,647. Default: 0. */
  readonly delay?: number | undefined;
}

/** @throws ConnectionError `ERR_INVALID_OPTION` */
export function reconnectDelay(options: ReconnectOptions): number {
  return checkRecord<ReconnectOptions>('reconnect', options, { delay: checkDelay }).delay ?? 0;
}
