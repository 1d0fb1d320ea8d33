/** What a source is. Each is one module, a row in `modules.ts`; the engine starts it when a SourceSpec of its type is set, and stops it when that changes. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { FieldError, Json } from '../../kinds/object.ts';
import type { Handed } from '../model.ts';

export type { Handed };

export interface SourceContext<Config> {
  /** `<kind>/<ns>/<name>`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly config: Config;
  /**
   * Hands an event over; resolves when it is safe (module `own`: on disk in the source's stream; module `upstream`: taken by the sink or in the
   * dead letters) and the origin may forget it. Rejects only when the source is being stopped: then it is not safe. Overrides of attributes are applied here.
   */
  emit(event: CloudEvent): Promise<Handed>;
  /** The path of a directory of its own that lasts, below the platform's home; whoever uses it makes it. */
  readonly dir: string;
  /** Small state that lasts, JSON. */
  checkpoint(): unknown;
  saveCheckpoint(value: Json): Promise<void>;
  /** Tells how it goes; shown in conditions. Cheap to repeat. */
  report(state: { ready: boolean; reason: string; message: string; lag?: number }): void;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  uuid(): string;
  readonly log: Logger;
  /** Aborts when the source is to stop. */
  readonly signal: AbortSignal;
}

export interface RunningSource {
  /** Stops fetching, lets what was handed over come to its end for up to `graceMs`, commits, leaves. */
  stop(graceMs: number): Promise<void>;
  /** An HTTP request to `/events/source/<ns>/<name>`, for webhooks. */
  request?(request: SourceRequest): Promise<SourceAnswer>;
}

export interface SourceRequest {
  method: string;
  /** After the source's own path, with query. */
  path: string;
  /** Lower-case names, flat pairs. */
  headers: string[];
  body: Buffer;
}

export interface SourceAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

export interface SourceModule<Config = Record<string, Json>> {
  readonly type: string;
  /** `own`: what it accepts goes through a stream first, since the origin cannot be asked again. `upstream`: the origin keeps it until the sink has it. */
  readonly durable: 'own' | 'upstream';
  /** Problems of the configuration, with field paths relative to it; pure. Used in admission as well. */
  check(config: Record<string, Json>): FieldError[];
  /** The configuration that KEDA's trigger metadata of the same purpose means; absent: KEDA has none. Pure; throws `PetrelError` `InvalidArgument`. */
  fromKeda?(metadata: Record<string, string>, authentication: Record<string, string>): Record<string, Json>;
  /**
   * Begins in the background: an origin that is not there is reported and tried again with back-off, never thrown. Resolves when it has begun
   * to try. No polling faster than the origin needs; nothing at all while paused (the engine does not start it).
   */
  start(context: SourceContext<Config>): Promise<RunningSource>;
}
