/** TimeTriggers: functions called by the clock. What was due while no platform ran is not made up for, as with Fission. */
import { messageOf } from '../../base/errors.ts';
import { type CronSchedule, parseSchedule } from '../../kinds/cron-schedule.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { found, withFindings } from './conditions.ts';
import { type Context, type Part, writeStatus } from './context.ts';
import type { Invoker } from './invoke.ts';
import { FISSION, type Problem, type TimeTrigger } from './model.ts';

/** Longest sleep, ms: machines sleep too, and their clocks are set. */
const LONGEST_MS = 15 * 60_000;

interface Entry {
  trigger: TimeTrigger;
  schedule: CronSchedule;
  /** ms since the epoch. */
  due: number;
}

export function createTimers({ caches, client, clock, log }: Context, invoker: Invoker): Part {
  const entries = new Map<string, Entry>();
  let timer: { cancel(): void } | undefined;

  const fire = ({ metadata, spec }: TimeTrigger) => {
    void invoker.invoke({
      namespace: metadata.namespace ?? 'default',
      reference: spec.functionref,
      method: spec.method || 'POST',
      path: spec.subpath?.startsWith('/') ? spec.subpath : `/${spec.subpath ?? ''}`,
      headers: { 'x-fission-timer-name': metadata.name },
    });
  };

  const arm = () => {
    timer?.cancel();
    timer = undefined;
    if (entries.size === 0) return;
    const first = Math.min(...[...entries.values()].map(({ due }) => due));
    const wait = Math.min(LONGEST_MS, Math.max(0, first - clock.now()));
    timer = clock.after(wait, () => {
      const now = clock.now();
      for (const [key, entry] of entries) {
        if (entry.due > now) continue;
        fire(entry.trigger);
        // From now on: a clock that was set forward does not call for every time that it skipped.
        const due = entry.schedule.next(now);
        if (due === undefined) entries.delete(key);
        else entry.due = due;
      }
      arm();
    });
  };

  const schedule = (key: string, trigger: TimeTrigger): Problem | undefined => {
    const known = entries.get(key);
    const { uid } = trigger.metadata;
    if (known && known.trigger.metadata.uid === uid && known.trigger.spec.cron === trigger.spec.cron) {
      known.trigger = trigger;
      return undefined;
    }
    entries.delete(key);
    try {
      const parsed = parseSchedule(trigger.spec.cron);
      const due = parsed.next(clock.now());
      if (due === undefined) return { reason: 'NeverDue', message: `"${trigger.spec.cron}" is never due.` };
      entries.set(key, { trigger, schedule: parsed, due });
      return undefined;
    } catch (error) {
      return { reason: 'InvalidSchedule', message: messageOf(error) };
    } finally {
      arm();
    }
  };

  const controller = createController({
    name: 'fission-timers',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const trigger = caches.timeTriggers.get(namespace, name);
      if (trigger === undefined) {
        if (entries.delete(key)) arm();
        return undefined;
      }
      const problem = schedule(key, trigger);
      const { generation } = trigger.metadata;
      const findings = [found('Scheduled', problem), found('Ready', problem)];
      await writeStatus(client, FISSION.timeTriggers, trigger, {
        observedGeneration: generation ?? 1,
        conditions: withFindings(trigger.status?.conditions, findings, generation, clock.now()),
      });
      return undefined;
    },
  });
  const enqueue = (trigger: TimeTrigger) => controller.enqueue(keyOf(trigger));
  caches.timeTriggers.addHandler({ add: enqueue, update: enqueue, delete: enqueue });

  return {
    start: () => controller.start(),
    async stop() {
      await controller.stop();
      entries.clear();
      arm();
    },
  };
}
