/** What a sink that is not HTTP is: a topic, a queue, a bucket. Each is one module, a row in `modules.ts`. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { FieldError, Json } from '../../kinds/object.ts';

export interface SinkContext<Config> {
  readonly key: string;
  readonly config: Config;
  report(state: { ready: boolean; reason: string; message: string }): void;
  /** Asks the main thread, where the controllers are; see `EngineControl.serve`. Rejects with `PetrelError`. */
  callMain(name: string, input: Json): Promise<Json>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RunningSink {
  /** Resolves when the broker has confirmed it, with the answer where there is one (a transform); rejects with what it said. Called concurrently. */
  send(event: CloudEvent): Promise<void> | Promise<CloudEvent>;
  stop(graceMs: number): Promise<void>;
}

export interface SinkModule<Config = Record<string, Json>> {
  readonly type: string;
  check(config: Record<string, Json>): FieldError[];
  start(context: SinkContext<Config>): Promise<RunningSink>;
}
