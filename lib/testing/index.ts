export { type NextOptions, type Recorded, type Recorder, record } from './recorder';
export type { Heard } from './timeline';
