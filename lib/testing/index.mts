export { record } from './index.js';
export type * from './index.js';
