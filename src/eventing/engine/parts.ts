/** What the engine is put together of, as far as it does not begin itself. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { Accepted, Acceptor, Courier, Sender } from '../delivery/contract.ts';
import type { EventLog } from '../log/contract.ts';
import type { EngineState } from '../log/state/contract.ts';
import type {
  AddressKey,
  EngineOptions,
  EngineReports,
  Questions,
  StreamSpec,
  SubscriptionSpec,
} from '../model.ts';
import type { SinkModule } from '../sinks/contract.ts';
import type { SourceModule } from '../sources/contract.ts';

/** One answer for each question. Rejects with `PetrelError`. */
export type Answers = {
  [K in keyof Questions]: (input: Questions[K]['input']) => Promise<Questions[K]['answer']>;
};

/** Matching and delivering; see `delivery/`. */
export interface Delivery {
  acceptor: Acceptor;
  sender: Sender;
  courier: Courier;
  answers: Answers;
  setStream(key: AddressKey, spec: StreamSpec | null): void;
  setSubscription(key: string, spec: SubscriptionSpec | null): void;
  /** Deliveries begin; what is on disk and belongs to nobody goes. */
  complete(): Promise<void>;
  /** Begins no deliveries, lets those under way end for up to that time. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface DeliveryOptions {
  log: EventLog;
  state: EngineState;
  options: EngineOptions;
  reports: EngineReports;
  clock: Clock;
  random(): number;
  uuid(): string;
  logger: Logger;
  /** Takes events for addresses that are no streams; undefined: there is none of that key. */
  local(key: AddressKey): ((event: CloudEvent) => Promise<Accepted>) | undefined;
}

/** Where the parts come from; another set stands in for them in tests. */
export interface EngineParts {
  openLog(options: { dir: string; clock: Clock; log: Logger }): Promise<EventLog>;
  openState(options: { path: string; clock: Clock; log: Logger }): Promise<EngineState>;
  createDelivery(options: DeliveryOptions): Delivery;
  sources: Record<string, () => Promise<SourceModule>>;
  sinks: Record<string, () => Promise<SinkModule>>;
}
