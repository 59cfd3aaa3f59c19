export { FileSpool, type FileSpoolOptions } from './file-spool';
export type { DeliveryOptions, DeliveryState, DeliveryStats, DeliveryWindowEvents, Unacknowledged } from './options';
export type { DeliveryMessage, Replay, Spool } from './spool';
export { DeliveryWindow } from './window';
