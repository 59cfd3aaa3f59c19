export { DeliveryWindow } from './index.js';
export type * from './index.js';
