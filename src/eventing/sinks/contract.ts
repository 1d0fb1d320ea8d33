/** What a sink that is not HTTP is: a topic, a queue, a bucket. Each is one module, a row in `modules.ts`. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { FieldError, Json } from '../../kinds/object.ts';
import type { Sender } from '../delivery/contract.ts';
import type { SourceAnswer, SourceRequest } from '../sources/contract.ts';

export interface SinkContext<Config> {
  readonly key: string;
  readonly config: Config;
  report(state: { ready: boolean; reason: string; message: string }): void;
  /** Asks the main thread, where the controllers are; see `EngineControl.serve`. Rejects with `PetrelError`. */
  callMain(name: string, input: Json): Promise<Json>;
  /** Sends on what came, for a sink that stands between. */
  readonly sender: Pick<Sender, 'send'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Why a sink does not take an event, with the HTTP status for whoever brought it; any other failure is a 502. */
export class SinkRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'SinkRefusal';
    this.status = status;
  }
}

export interface RunningSink {
  /**
   * Resolves when the broker has confirmed it, with the answer where there is one (a transform), or with a path of ours under which to ask what
   * became of it; rejects with what it said. Called concurrently.
   */
  send(event: CloudEvent): Promise<void> | Promise<CloudEvent | { location: string } | undefined>;
  /** A GET below its address. */
  request?(request: SourceRequest): Promise<SourceAnswer>;
  stop(graceMs: number): Promise<void>;
}

export interface SinkModule<Config = Record<string, Json>> {
  readonly type: string;
  check(config: Record<string, Json>): FieldError[];
  start(context: SinkContext<Config>): Promise<RunningSink>;
}
