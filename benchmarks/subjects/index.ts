import type { Contest } from '../contest';
import type { Lab } from '../lab';
import { cycle } from './cycle';
import { fleet } from './fleet';
import { loading } from './loading';
import { memory } from './memory';
import { race } from './race';
import { receive } from './receive';
import { recovery } from './recovery';
import { roundTrip } from './round-trip';
import { send } from './send';
import { small } from './small';

/** Everything that is measured, by the names that `--only` knows. */
export const subjects: Readonly<Record<string, (lab: Lab) => Contest[]>> = {
  memory,
  cycle,
  send,
  'round-trip': roundTrip,
  receive,
  loading,
  recovery,
  fleet,
  race,
  small,
};
