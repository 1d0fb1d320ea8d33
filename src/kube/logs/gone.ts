/** Logs of instances that are gone, as nodes' agents keep them and tell of them. What both sides have to agree on. */
import { FUNCTION_LABELS } from '../../kinds/function.ts';

/** Below a node's `proxy`: `/<namespace>/<group>` lists, `/<namespace>/<group>/<id>/<container>/<run>` is one log. */
export const GONE_LOGS = 'goneLogs';

/** A run of a container that has ended, of a Pod that is gone or has begun another since. */
export interface GoneRun {
  /** Names what was kept, within its group. */
  id: string;
  pod: string;
  revision: string;
  container: string;
  /** Counts from 0 within the Pod. */
  run: number;
  /** When it wrote last, milliseconds since the epoch. */
  endedAt: number;
}

const SERVICE = 'serving.knative.dev/service';

/** Whose instances belong together: those of a service, or those that a runtime's functions share. */
export function logGroup(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  const service = labels?.[SERVICE];
  if (service) return serviceGroup(service);
  const runtime = labels?.[FUNCTION_LABELS.runtime];
  // Generic ones have run nobody's code.
  return runtime && labels[FUNCTION_LABELS.pool] !== 'generic' ? runtimeGroup(runtime) : undefined;
}

export const serviceGroup = (name: string): string => `service_${name}`;
export const runtimeGroup = (name: string): string => `runtime_${name}`;
