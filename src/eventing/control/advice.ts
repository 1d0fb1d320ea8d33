/** What an owner of a Broker should know although it works: an Event of type Warning and a line in the log, once each. */
import { messageOf } from '../../base/errors.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { ControlContext } from './context.ts';

export interface Advice {
  reason: string;
  message: string;
}

/** Something to find out first, named for not asking twice. Undefined: all is well. */
export interface Question {
  name: string;
  ask(): Promise<Advice | undefined>;
}

export interface Adviser {
  tell(object: KubeObject, advice: Advice): void;
  /** Once for an object, and again with its next pass when nobody has answered. */
  ask(object: KubeObject, question: Question): void;
  gone(namespace: string, name: string): void;
}

export function createAdviser({ events, log }: Pick<ControlContext, 'events' | 'log'>): Adviser {
  /** By object: what was told or asked. */
  const known = new Map<string, { uid: string | undefined; said: Set<string> }>();
  const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? ''}/${name}`;
  const saidOf = ({ metadata: { namespace, name, uid } }: KubeObject): Set<string> => {
    const key = keyOf(namespace, name);
    let entry = known.get(key);
    if (entry === undefined || entry.uid !== uid) {
      entry = { uid, said: new Set() };
      known.set(key, entry);
    }
    return entry.said;
  };
  const once = (object: KubeObject, what: string): boolean => {
    const said = saidOf(object);
    if (said.has(what)) return false;
    said.add(what);
    return true;
  };
  const tell = (object: KubeObject, { reason, message }: Advice): void => {
    if (!once(object, `${reason} ${message}`)) return;
    const { namespace, name } = object.metadata;
    log.warn(message, { broker: keyOf(namespace, name), reason });
    events.record(object, 'Warning', reason, message);
  };
  return {
    tell,
    ask(object, { name, ask }) {
      if (!once(object, name)) return;
      ask().then(
        (advice) => {
          if (advice !== undefined) tell(object, advice);
        },
        (error: unknown) => {
          saidOf(object).delete(name);
          tell(object, { reason: 'MonitorUnreachable', message: `${name}: ${messageOf(error)}` });
        },
      );
    },
    gone: (namespace, name) => {
      known.delete(keyOf(namespace, name));
    },
  };
}

const ASK_MS = 5000;
const ANSWER_BYTES = 64 * 1024;

/** Whether JetStream flushes what it acknowledges, by the monitoring port of a server (`http://host:8222`). */
export const syncQuestion = (monitor: string): Question => ({
  name: `the monitoring port ${monitor}`,
  async ask() {
    const url = new URL('/jsz?config=1', monitor);
    const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS), redirect: 'error' });
    if (!response.ok) throw new Error(`it answers ${response.status}`);
    return syncAdvice(JSON.parse(await bounded(response)));
  },
});

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES) throw new Error(`it answers with more than ${ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

const SET = 'set jetstream { sync_interval: always }';

/** What `/jsz?config=1` says. Servers before 2.10 have no such setting, and say nothing of it; an interval is in nanoseconds. */
export function syncAdvice(answer: unknown): Advice | undefined {
  const { config } = (answer ?? {}) as { config?: { sync_always?: unknown; sync_interval?: unknown } };
  if (config === undefined || config === null)
    return { reason: 'SyncInterval', message: 'the server has no JetStream' };
  if (config.sync_always === true) return undefined;
  const every = config.sync_interval;
  return {
    reason: 'SyncInterval',
    message:
      typeof every === 'number'
        ? `JetStream flushes every ${every / 1e9} s: a power failure of the server loses what it has acknowledged since; ${SET}`
        : `JetStream flushes every two minutes, as servers before 2.10 do: a power failure of the server loses what it has acknowledged since; take a newer one and ${SET}`,
  };
}
