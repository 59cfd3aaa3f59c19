export { Requests } from './index.js';
export type * from './index.js';
