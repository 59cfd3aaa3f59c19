export type { Cut } from './cut';
export type { Direction, Faults } from './proxied-link';
export { FaultProxy } from './proxy';
export type {
  CutAfterOptions,
  FlapOptions,
  LoopbackOptions,
  PathPlace,
  Place,
  PortPlace,
  PortTarget,
  ProxyOptions,
  ProxyStats,
  Treatment,
} from './options';
export {
  type Args,
  type Heard,
  type Listeners,
  type NextOptions,
  type Recorded,
  type Recorder,
  record,
} from './recorder';
export type { Chunk, Opening, ScriptedAttempt } from './script';
export { ScriptedDial } from './scripted-dial';
export type { ScriptedPeer } from './scripted-peer';
export { LoopbackServer } from './server';
export { type WaitOptions, until } from './until';
