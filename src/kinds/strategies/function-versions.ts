/** The fields of a Function that are about its revisions and instances: provisioned, retained, used once. */
import { duplicate, invalid, required } from '../field.ts';
import type { FieldError } from '../object.ts';
import { parseCron } from '../scaling/cron.ts';
import { indexed, type Untyped } from './untyped.ts';

const MOST = { instances: 10_000, revisions: 1000, windows: 50 } as const;
/** A minute to 31 days, seconds: what `scaling/schedule.ts` takes. */
const WINDOW_SECONDS = [60, 31 * 86_400] as const;

function whole(value: Untyped, low: number, high: number, path: string): FieldError[] {
  if (value === undefined || value === null) return [];
  return Number.isInteger(value) && value >= low && value <= high
    ? []
    : [invalid(path, value, `must be between ${low} and ${high}, inclusive`)];
}

function validateWindow(window: Untyped, at: string): FieldError[] {
  const { name, cron, timeZone = 'UTC', durationSeconds, target } = window ?? {};
  const errors: FieldError[] = [];
  if (!name) errors.push(required(`${at}.name`));
  if (!cron) errors.push(required(`${at}.cron`, 'when the window begins, such as "0 8 * * mon-fri"'));
  else {
    try {
      parseCron(cron, timeZone);
    } catch (error) {
      errors.push(invalid(`${at}.cron`, cron, (error as Error).message));
    }
  }
  if (durationSeconds === undefined) errors.push(required(`${at}.durationSeconds`));
  if (target === undefined) errors.push(required(`${at}.target`));
  return [
    ...errors,
    ...whole(durationSeconds, ...WINDOW_SECONDS, `${at}.durationSeconds`),
    ...whole(target, 0, MOST.instances, `${at}.target`),
  ];
}

/** Validates `spec.provisioned`, `spec.retainRevisions`, `spec.onceOnly` and `spec.debugPort`. */
export function validateVersions(spec: Untyped): FieldError[] {
  const errors = whole(spec.retainRevisions, 0, MOST.revisions, 'spec.retainRevisions');
  if (spec.onceOnly === true && (spec.concurrency ?? 0) > 1)
    errors.push(invalid('spec.concurrency', spec.concurrency, 'must be 1 or left out with onceOnly'));
  errors.push(...whole(spec.debugPort, 1024, 65_535, 'spec.debugPort'));
  const { provisioned } = spec;
  if (provisioned === undefined || provisioned === null) return errors;
  errors.push(...whole(provisioned.target, 0, MOST.instances, 'spec.provisioned.target'));
  const seen = new Set<string>();
  const windows = indexed(provisioned.windows, 'spec.provisioned.windows');
  if ([...windows].length > MOST.windows)
    errors.push(
      invalid('spec.provisioned.windows', [...windows].length, `must not be more than ${MOST.windows}`),
    );
  for (const [at, window] of windows) {
    errors.push(...validateWindow(window, at));
    if (seen.has(window?.name)) errors.push(duplicate(`${at}.name`, window.name));
    seen.add(window?.name);
  }
  return errors;
}
