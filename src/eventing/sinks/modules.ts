/** What there is of sinks, by type. A module is loaded with the first sink of its type. */
import type { SinkModule } from './contract.ts';

export const SINK_MODULES: Record<string, () => Promise<SinkModule>> = {};
