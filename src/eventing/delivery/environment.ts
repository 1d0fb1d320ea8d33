/** What all deliveries share. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { EngineState } from '../log/state/contract.ts';
import type { Sender } from './contract.ts';
import type { Paths } from './paths.ts';
import type { Slots } from './slots.ts';

export interface LaneEnvironment {
  sender: Sender;
  state: EngineState;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  log: Logger;
  slots: Slots;
  /** Events in memory for all subscriptions, bytes; one that is held for several counts for each. */
  budget: { bytes: number };
  paths: Paths;
}
