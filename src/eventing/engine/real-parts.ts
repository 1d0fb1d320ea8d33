/** The parts that a platform's engine is made of. */
import { createDelivery } from '../delivery/index.ts';
import { openLog } from '../log/index.ts';
import { openState } from '../log/state/index.ts';
import { SINK_MODULES } from '../sinks/modules.ts';
import { SOURCE_MODULES } from '../sources/modules.ts';
import type { EngineParts } from './parts.ts';

export const parts: EngineParts = {
  openLog,
  openState,
  createDelivery,
  sources: SOURCE_MODULES,
  sinks: SINK_MODULES,
};
