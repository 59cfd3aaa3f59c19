export { DeliveryWindow, FileSpool } from './index.js';
export type * from './index.js';
