export { FileSpool, type FileSpoolOptions } from './file-spool';
export type {
  DeliveryMessage,
  DeliveryOptions,
  DeliveryState,
  DeliveryStats,
  DeliveryWindowEvents,
  Unacknowledged,
} from './options';
export type { Replay, Spool } from './spool';
export { DeliveryWindow } from './window';
