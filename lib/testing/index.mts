export { FaultProxy, LoopbackServer, ScriptedDial, record, until } from './index.js';
export type * from './index.js';
