/** `spec.provisioned` as what serving understands: bounds on the Service, which hold at once and make no new revision. Pure. */
import type { FunctionProvisioned } from '../../kinds/function.ts';
import { SCHEDULE } from '../../kinds/scaling/schedule.ts';

const MIN_SCALE = 'autoscaling.petrel.dev/min-scale';

/** Annotations of the Service. Of windows that are open at once the highest target wins, and none goes below the one of all times. */
export function provisionedAnnotations(provisioned: FunctionProvisioned | undefined): Record<string, string> {
  const { target = 0, windows = [] } = provisioned ?? {};
  const annotations: Record<string, string> = {};
  if (target > 0) annotations[MIN_SCALE] = String(target);
  if (windows.length > 0) {
    // In a schedule the last window that says anything decides.
    const rising = windows.toSorted((a, b) => a.target - b.target || a.name.localeCompare(b.name));
    annotations[SCHEDULE] = JSON.stringify(
      rising.map((window) => ({
        schedule: window.cron,
        timezone: window.timeZone ?? 'UTC',
        duration: `${window.durationSeconds}s`,
        minScale: Math.max(window.target, target),
      })),
    );
  }
  return annotations;
}
