/** A source between a real server and a sink that tests steer: what the engine is to a source, without the engine. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../../../test/lib/brokers/server.ts';
import { systemClock } from '../../../base/clock.ts';
import { type Logger, silentLogger } from '../../../base/log.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import type { Handed, RunningSource, SourceModule } from '../contract.ts';

export interface State {
  ready: boolean;
  reason: string;
  message: string;
  lag?: number;
}

export interface Harness {
  /** Events that the sink has taken, each time. */
  readonly taken: CloudEvent[];
  readonly dead: CloudEvent[];
  /** How often each id was taken. */
  counts(): Map<string, number>;
  /** Data of what was taken, as text, in order. */
  texts(): string[];
  readonly states: State[];
  state(): State;
  ready(): Promise<void>;
  /** Waits until that many different ids were taken. */
  got(count: number, ms?: number): Promise<void>;
  /** Most deliveries that were under way at once. */
  most(): number;
  running: RunningSource;
  stop(graceMs?: number): Promise<void>;
}

export interface HarnessOptions {
  /** One attempt of a delivery; a rejection is tried again after a moment; `'dead'` is giving up. */
  sink?(event: CloudEvent, attempt: number): unknown;
  name?: string;
  /** Default: silent. */
  log?: Logger;
  /** What lasts over several harnesses of one source. */
  checkpoint?: { value: Json };
}

/** Starts a source; it is stopped with the test. */
export async function startHarness(
  t: TestContext,
  // biome-ignore lint/suspicious/noExplicitAny: a module's configuration is its own
  module: SourceModule<any>,
  config: Record<string, Json>,
  options: HarnessOptions = {},
): Promise<Harness> {
  const problems = module.check(config);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const { sink = () => {}, name = 'test', checkpoint = { value: null }, log = silentLogger } = options;
  const taken: CloudEvent[] = [];
  const dead: CloudEvent[] = [];
  const states: State[] = [];
  const ids = new Set<string>();
  let under = 0;
  let most = 0;
  /** As the engine has it: it is to stop; it has had its time, and nothing more is handed over. */
  const stopping = new AbortController();
  const over = new AbortController();
  const isOver = new Promise<never>((_, reject) => {
    over.signal.addEventListener('abort', () => reject(new Error('stopping')), { once: true });
  });
  isOver.catch(() => {});
  const dir = mkdtempSync(join(tmpdir(), 'petrel-source-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const deliver = async (event: CloudEvent): Promise<Handed> => {
    for (let attempt = 1; ; attempt++) {
      over.signal.throwIfAborted();
      try {
        const end = await Promise.race([sink(event, attempt), isOver]);
        if (end === 'dead') {
          dead.push(event);
          return 'dead';
        }
        taken.push(event);
        ids.add(`${event.source} ${event.id}`);
        return 'delivered';
      } catch {
        await pause(10);
      }
    }
  };
  const running = await module.start({
    key: `eventsource/default/${name}`,
    namespace: 'default',
    name,
    config,
    async emit(event) {
      most = Math.max(most, ++under);
      try {
        return await deliver(event);
      } finally {
        under--;
      }
    },
    dir,
    checkpoint: () => checkpoint.value,
    async saveCheckpoint(value) {
      checkpoint.value = structuredClone(value);
    },
    report(state) {
      states.push(state);
    },
    clock: systemClock,
    random: Math.random,
    uuid: randomUUID,
    log,
    signal: stopping.signal,
  });
  let stopped = false;
  const harness: Harness = {
    taken,
    dead,
    states,
    running,
    counts() {
      const counts = new Map<string, number>();
      for (const { source, id } of taken) {
        const key = `${source} ${id}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      return counts;
    },
    texts: () => taken.map(({ data }) => data?.toString() ?? ''),
    state: () => states.at(-1) ?? { ready: false, reason: 'Starting', message: '' },
    ready: () =>
      until(() => harness.state().ready, `the source is ready: ${JSON.stringify(harness.state())}`, 30_000),
    got: (count, ms = 30_000) =>
      until(
        () => ids.size >= count,
        `${count} events came (${ids.size}; ${JSON.stringify(harness.state())})`,
        ms,
      ).catch((error) => {
        throw new Error(`${error.message}; now ${ids.size}; ${JSON.stringify(harness.state())}`);
      }),
    most: () => most,
    async stop(graceMs = 2000) {
      if (stopped) return;
      stopped = true;
      stopping.abort();
      const late = setTimeout(() => over.abort(), graceMs);
      try {
        await running.stop(graceMs);
      } finally {
        clearTimeout(late);
        over.abort();
      }
    },
  };
  t.after(() => harness.stop(0));
  return harness;
}
