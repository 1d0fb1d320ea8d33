/** What the engine is put together of, as far as it does not begin itself; another set stands in for them in tests. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Delivery, DeliveryOptions } from '../delivery/index.ts';
import type { EventLog } from '../log/contract.ts';
import type { EngineState } from '../log/state/contract.ts';
import type { SinkModule } from '../sinks/contract.ts';
import type { SourceModule } from '../sources/contract.ts';

export interface EngineParts {
  openLog(options: { dir: string; clock: Clock; log: Logger }): Promise<EventLog>;
  openState(options: { path: string; clock: Clock; log: Logger }): Promise<EngineState>;
  createDelivery(options: DeliveryOptions): Delivery;
  sources: Record<string, () => Promise<SourceModule>>;
  sinks: Record<string, () => Promise<SinkModule>>;
}
