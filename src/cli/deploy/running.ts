/** The platform that `deploy` hands things to. */
import { PetrelError } from '../../base/errors.ts';
import type { PlatformRecord } from '../../platform/home.ts';

/** Passes on a platform that runs what is deployed. Throws `PlatformNotRunning` for an API alone. */
export function runningPlatform(record: PlatformRecord): PlatformRecord {
  if (record.gateway !== null) return record;
  throw new PetrelError('PlatformNotRunning', `on ${record.home} runs the API alone`, {
    why: 'functions are deployed through the process that runs everything else',
    fix: `petrel up --kubeconfig ${record.kubeconfig} --home <another>, and deploy with that --home`,
  });
}
