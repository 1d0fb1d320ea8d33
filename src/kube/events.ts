/**
 * Kubernetes Events about an object. Recording never waits and never fails: an Event that cannot be written is lost.
 * Repetitions count up one Event; a source that floods is cut (limits of client-go's `EventCorrelator`).
 */
import { timestamp } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Json, KubeObject } from '../kinds/object.ts';
import { type KubeClient, KubeError } from './client.ts';
import { EVENTS } from './refs.ts';

export interface EventRecorder {
  /** `reason` is UpperCamelCase; `message` is for people. */
  record(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when everything recorded so far is written or given up. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  client: KubeClient;
  /** What reports, for example `serving-controller`. */
  component: string;
  log: Logger;
  now?: () => number;
}

/** Distinct Events remembered for counting. */
const REMEMBERED = 1024;
/** Events about one object: this many at once, then one each `REFILL_MS`. */
const BURST = 25;
const REFILL_MS = 300_000;
const MAX_MESSAGE = 1024;

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const now = options.now ?? Date.now;
  const known = new Map<string, { name: string; count: number }>();
  const budgets = new Map<string, { tokens: number; at: number }>();
  let last: Promise<void> = Promise.resolve();
  let sequence = 0;

  const allowed = (uid: string): boolean => {
    const time = now();
    const budget = budgets.get(uid) ?? { tokens: BURST, at: time };
    budget.tokens = Math.min(BURST, budget.tokens + Math.max(0, time - budget.at) / REFILL_MS);
    budget.at = time;
    const ok = budget.tokens >= 1;
    if (ok) budget.tokens--;
    remember(budgets, uid, budget);
    return ok;
  };

  const write = async (object: KubeObject, type: string, reason: string, message: string) => {
    const { metadata } = object;
    const namespace = metadata.namespace ?? 'default';
    const id = [metadata.uid, object.kind, metadata.name, type, reason, message].join('\u0000');
    const time = timestamp(now());
    const earlier = known.get(id);
    if (earlier) {
      try {
        earlier.count++;
        const patch = { count: earlier.count, lastTimestamp: time };
        await options.client.patch(EVENTS, namespace, earlier.name, 'merge', patch);
        remember(known, id, earlier);
        return;
      } catch (error) {
        // Expired by the server: begin a new one.
        if (!(error instanceof KubeError) || error.code !== 404) throw error;
      }
    }
    const name = `${metadata.name.slice(0, 200)}.${now().toString(16)}${(sequence++).toString(16).padStart(4, '0')}`;
    const event: KubeObject & Record<string, Json | object> = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name: metadata.name,
        ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
        ...(metadata.uid ? { uid: metadata.uid } : {}),
        ...(metadata.resourceVersion ? { resourceVersion: metadata.resourceVersion } : {}),
      },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: time,
      lastTimestamp: time,
      source: { component: options.component },
      reportingComponent: options.component,
      reportingInstance: '',
    };
    await options.client.create(EVENTS, event);
    remember(known, id, { name, count: 1 });
  };

  return {
    record(object, type, reason, message) {
      if (!allowed(object.metadata.uid ?? object.metadata.name)) return;
      const text = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message;
      last = last
        .then(() => write(object, type, reason, text))
        .catch((error) =>
          options.log.debug('an Event was not written', {
            reason,
            error: messageOf(error),
          }),
        );
    },
    flush: () => last,
  };
}

/** Puts an entry at the young end of a bounded map. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}
