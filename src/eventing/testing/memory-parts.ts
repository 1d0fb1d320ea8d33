/** Parts of an engine that remember nothing and deliver to nobody: for tests of what stands around them. */
import { PetrelError } from '../../base/errors.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { Delivery, DeliveryOptions } from '../delivery/index.ts';
import type { Answers } from '../delivery/questions.ts';
import type { EngineParts } from '../engine/parts.ts';
import type { EventLog } from '../log/contract.ts';
import type { EngineState } from '../log/state/contract.ts';
import type { StreamSpec, SubscriptionSpec } from '../model.ts';
import type { SinkModule } from '../sinks/contract.ts';
import type { SourceModule } from '../sources/contract.ts';

const unused = (what: string) => () => {
  throw new Error(`${what} is not part of this test`);
};

/** A log whose streams are never opened; `kept` are the keys said to be on disk. */
export function memoryLog(kept: string[] = []): EventLog {
  return { open: unused('open'), remove: async () => {}, keys: async () => kept, close: async () => {} };
}

/** Checkpoints only. */
export function memoryState(): EngineState & { checkpoints: Map<string, unknown>; swept: Set<string>[] } {
  const checkpoints = new Map<string, unknown>();
  const swept: Set<string>[] = [];
  const rest = new Proxy(
    {},
    { get: (_, name) => (name === 'then' ? undefined : unused(String(name))) },
  ) as EngineState;
  return Object.setPrototypeOf(
    {
      checkpoints,
      swept,
      checkpoint: (key: string) => checkpoints.get(key),
      saveCheckpoint: async (key: string, value: unknown) => void checkpoints.set(key, value),
      sweep: async ({ sources }: { sources: Set<string> }) => void swept.push(sources),
      flush: async () => {},
      close: async () => {},
    },
    rest,
  );
}

export interface MemoryDelivery extends Delivery {
  streams: Map<string, StreamSpec>;
  subscriptions: Map<string, SubscriptionSpec>;
  accepted: Map<string, CloudEvent[]>;
  delivered: CloudEvent[];
  /** By source, where it delivers to. */
  direct: Map<string, string>;
  completed: boolean;
}

/** Takes events for its streams and keeps them; its courier delivers at once. */
export function memoryDelivery({ local }: Pick<DeliveryOptions, 'local'>): MemoryDelivery {
  const streams = new Map<string, StreamSpec>();
  const subscriptions = new Map<string, SubscriptionSpec>();
  const accepted = new Map<string, CloudEvent[]>();
  const delivered: CloudEvent[] = [];
  const direct = new Map<string, string>();
  const refuse = async () => {
    throw new PetrelError('NotFound', 'nothing of it is kept here');
  };
  const answers: Answers = {
    history: refuse,
    follow: refuse,
    replay: refuse,
    dead: refuse,
    redrive: refuse,
    purge: refuse,
    subscriptions: refuse,
    streams: async () =>
      Object.fromEntries(
        [...streams.keys()].map((key) => {
          const events = accepted.get(key)?.length ?? 0;
          return [key, { events, bytes: 0, accepted: events, refused: 0, refusals: {} }];
        }),
      ),
  };
  return {
    streams,
    subscriptions,
    accepted,
    delivered,
    direct,
    completed: false,
    acceptor: {
      async accept(key, event) {
        const take = local(key);
        if (take !== undefined) return take(event);
        if (!streams.has(key)) return { accepted: false, status: 404, reason: 'no_stream', message: 'none' };
        const events = accepted.get(key) ?? [];
        accepted.set(key, events);
        events.push(event);
        return { accepted: true, offset: events.length - 1 };
      },
    },
    sender: { send: unused('send'), close: async () => {} },
    courier: {
      async deliver(_key, _target, _terms, event) {
        delivered.push(event);
        return 'delivered';
      },
    },
    answers,
    refused: (key) => streams.has(key),
    setStream(key, spec) {
      if (spec === null) streams.delete(key);
      else streams.set(key, spec);
    },
    setSubscription(key, spec) {
      if (spec === null) subscriptions.delete(key);
      else subscriptions.set(key, spec);
    },
    setDirect(key, to) {
      if (to === null) direct.delete(key);
      else direct.set(key, to.target.url);
    },
    async complete() {
      this.completed = true;
    },
    drain: async () => {},
    close: async () => {},
  };
}

/** Ends the thread as a defect does, a turn after it has begun. */
const crash: SourceModule = {
  type: 'crash',
  durable: 'own',
  check: () => [],
  async start({ report }) {
    report({ ready: true, reason: 'Running', message: '', lag: 5 });
    setImmediate(() => {
      throw new Error('a defect');
    });
    return { stop: async () => {} };
  },
};

/** Reports what the main thread answers. */
const asking: SinkModule = {
  type: 'asking',
  check: () => [],
  async start({ callMain, report }) {
    const told = await callMain('double', 21).catch((error) => `${error.code}: ${error.message}`);
    report({ ready: true, reason: 'Asked', message: JSON.stringify(told) });
    return { send: async () => {}, stop: async () => {} };
  },
};

export const parts: EngineParts = {
  openLog: async () => memoryLog(),
  openState: async () => memoryState(),
  createDelivery: memoryDelivery,
  sources: { crash: async () => crash },
  sinks: { asking: async () => asking },
};
