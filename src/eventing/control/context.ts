/** What the controllers of eventing share. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { EventingConfig } from '../../kinds/config/eventing.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { EventRecorder } from '../../kube/events.ts';
import type { StatusWriter } from '../../kube/status-writer.ts';
import type { EngineControl, EngineReports } from '../model.ts';
import type { Objects } from './objects.ts';

/** What the engine told last of a source or a sink. */
export type PartState = Parameters<EngineReports['source']>[1];

export interface ControlContext {
  client: KubeClient;
  /** What is the same as before is not told again. */
  engine: Omit<EngineControl, 'complete' | 'ask'>;
  /** `EngineOptions.base`. */
  base: string;
  clock: Clock;
  random(): number;
  log: Logger;
  events: EventRecorder;
  objects: Objects;
  writeStatus: StatusWriter;
  /** What the ConfigMaps of eventing say now. */
  config(): Readonly<EventingConfig>;
  /** Of a source or sink, by the key that it was set under; undefined before the first report. */
  stateOf(key: string): PartState | undefined;
}
