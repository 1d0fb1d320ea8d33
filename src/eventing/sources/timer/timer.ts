/** Events by the clock: cron with seconds and zones, in order across restarts. Survives clocks that are set, and tells what it missed. */
import { createHash } from 'node:crypto';
import type { Timer } from '../../../base/clock.ts';
import { newEvent } from '../../../cloudevents/event.ts';
import { parseSchedule } from '../../../kinds/cron-schedule.ts';
import { invalid, notSupported, required } from '../../../kinds/field.ts';
import type { FieldError, Json } from '../../../kinds/object.ts';
import type { SourceContext, SourceModule } from '../contract.ts';
import {
  atStart,
  believed,
  dueNow,
  MISSED,
  type Missed,
  OVERLAP,
  type Overlap,
  type TimerState,
} from './plan.ts';

export interface TimerConfig {
  /** `0 9 * * 1-5`, with seconds in front where there are six fields, `@hourly`, `@every 5m`. */
  schedule: string;
  /** IANA; UTC when absent. */
  timeZone?: string;
  /** Each event up to so much later, at random, seconds. */
  jitterSeconds?: number;
  /** Default `allow`. */
  overlap?: Overlap;
  /** Default `once`: the newest of the times that were due while nothing ran. */
  missed?: Missed;
  /** Older times are not made up for, seconds. Default a day. */
  missedWithinSeconds?: number;
  contentType?: string;
  data?: string;
  dataBase64?: string;
  /** Attributes of the events. Default `dev.petrel.timer`, `/apis/petrel.dev/v1/namespaces/<ns>/eventsources/<name>`. */
  type?: string;
  source?: string;
  subject?: string;
}

const DAY_SECONDS = 86_400;
/** Longest sleep, ms: the time of day may be set meanwhile. */
const LONGEST_MS = 60_000;

const text = (value: Json | undefined): value is string => typeof value === 'string';

/** Problems of the fields that must be numbers from 0 on. */
function numbers(config: Record<string, Json>): FieldError[] {
  return ['jitterSeconds', 'missedWithinSeconds'].flatMap((name) => {
    const value = config[name];
    const good = value === undefined || (typeof value === 'number' && value >= 0 && Number.isFinite(value));
    return good ? [] : [invalid(name, value, 'must be a number of seconds, 0 or more')];
  });
}

function check(config: Record<string, Json>): FieldError[] {
  const { schedule, timeZone, overlap, missed, data, dataBase64 } = config;
  const problems = numbers(config);
  if (!text(schedule)) problems.push(required('schedule', 'such as "0 9 * * 1-5" or "@every 5m"'));
  else
    try {
      parseSchedule(schedule, text(timeZone) ? timeZone : undefined);
    } catch (error) {
      problems.push(invalid('schedule', schedule, (error as Error).message));
    }
  if (overlap !== undefined && !OVERLAP.includes(overlap as Overlap))
    problems.push(notSupported('overlap', overlap, OVERLAP));
  if (missed !== undefined && !MISSED.includes(missed as Missed))
    problems.push(notSupported('missed', missed, MISSED));
  if (data !== undefined && dataBase64 !== undefined)
    problems.push(invalid('dataBase64', dataBase64, 'data is set as well: set only one'));
  return problems;
}

async function start(context: SourceContext<TimerConfig>) {
  const { config, clock, signal, log } = context;
  const schedule = parseSchedule(config.schedule, config.timeZone);
  const { overlap = 'allow', missed = 'once', missedWithinSeconds = DAY_SECONDS, jitterSeconds = 0 } = config;
  const data =
    config.dataBase64 !== undefined
      ? Buffer.from(config.dataBase64, 'base64')
      : config.data === undefined
        ? undefined
        : Buffer.from(config.data);
  const open = new Set<number>();
  const running = new Set<Promise<void>>();
  const held: number[] = [];
  const begin = atStart(schedule, context.checkpoint() as TimerState | undefined, {
    now: clock.now(),
    missed,
    withinMs: missedWithinSeconds * 1000,
  });
  let last = begin.last;
  let wake: Timer | undefined;

  const save = () => context.saveCheckpoint({ last, open: [...open] });
  const failed = (error: unknown) => {
    if (!signal.aborted)
      log.warn('a timer could not write how far it is', { source: context.key, error: String(error) });
  };

  /** The same time has the same id in every life: whoever looks at ids takes it once. */
  const eventOf = (due: number) =>
    newEvent(
      {
        id: createHash('sha256')
          .update(`${context.key} ${config.schedule} ${due}`)
          .digest('hex')
          .slice(0, 32),
        type: config.type ?? 'dev.petrel.timer',
        source:
          config.source ?? `/apis/petrel.dev/v1/namespaces/${context.namespace}/eventsources/${context.name}`,
        time: new Date(due).toISOString(),
        subject: config.subject,
        // Empty: none, as PingSource has it.
        datacontenttype:
          data === undefined ? undefined : (config.contentType ?? 'application/json') || undefined,
        data,
      },
      due,
      () => context.uuid(),
    );

  const send = async (due: number) => {
    if (jitterSeconds > 0)
      await new Promise<void>((resolve) => {
        const timer = clock.after(context.random() * jitterSeconds * 1000, resolve);
        signal.addEventListener(
          'abort',
          () => {
            timer.cancel();
            resolve();
          },
          { once: true },
        );
      });
    if (signal.aborted) return;
    await context.emit(eventOf(due));
    open.delete(due);
    await save();
  };

  const fire = (due: number) => {
    if (open.size > 0 && overlap === 'skip') return;
    open.add(due);
    if (running.size > 0 && overlap === 'wait') {
      held.push(due);
      return;
    }
    run(due);
  };

  const run = (due: number) => {
    // Written before it is sent: what a crash interrupts is sent again.
    const sent = save()
      .then(() => send(due))
      .catch(failed)
      .finally(() => {
        running.delete(sent);
        const next = held.shift();
        if (next !== undefined && !signal.aborted) run(next);
      });
    running.add(sent);
  };

  const arm = () => {
    const now = clock.now();
    last = believed(last, now);
    const next = schedule.next(last);
    if (next === undefined) {
      context.report({ ready: false, reason: 'NeverDue', message: `"${config.schedule}" is never due` });
      return;
    }
    // By time that passes, not by the time of day: that may be set back meanwhile.
    wake = clock.after(Math.min(Math.max(0, next - now), LONGEST_MS), ring);
  };

  const ring = () => {
    const due = dueNow(schedule, last, clock.now());
    if (due !== undefined) {
      last = due;
      fire(due);
    }
    arm();
  };

  context.report({ ready: true, reason: 'Scheduled', message: '' });
  for (const due of begin.fire) fire(due);
  if (begin.fire.length === 0) await save().catch(failed);
  arm();

  return {
    async stop(graceMs: number) {
      wake?.cancel();
      let late: { cancel(): void } | undefined;
      await Promise.race([
        Promise.all(running),
        new Promise<void>((resolve) => {
          late = clock.after(graceMs, resolve);
        }),
      ]);
      late?.cancel();
    },
  };
}

/** Fires by itself and keeps what is not safe yet in its checkpoint, so it counts as one that can be asked again. */
export const timerSource: SourceModule<TimerConfig> = {
  type: 'timer',
  durable: 'upstream',
  check,
  start,
};
