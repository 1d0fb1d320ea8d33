/** The gateway's side of the line to its control plane: what fails beyond it must not fail a request. */
import type { Logger } from '../base/log.ts';
import type { GatewayEvents } from './contract.ts';

/** Events whose receiver may throw: it is logged, and the gateway goes on with what it knows. */
export function guarded(events: GatewayEvents, log: Logger): GatewayEvents {
  const failed = (event: string, error: unknown) =>
    log.error('the control plane failed at what the gateway told it', {
      event,
      error: String((error as Error)?.stack ?? error),
    });
  return {
    demand: (key, queued, inFlight) => {
      try {
        events.demand(key, queued, inFlight);
      } catch (error) {
        failed('demand', error);
      }
    },
    stats: (stats, intervalMs) => {
      try {
        events.stats(stats, intervalMs);
      } catch (error) {
        failed('stats', error);
      }
    },
    keyMissing: (namespace, name) => {
      try {
        events.keyMissing?.(namespace, name);
      } catch (error) {
        failed('keyMissing', error);
      }
    },
    endpointDown: (key, endpointId, reason) => {
      try {
        events.endpointDown(key, endpointId, reason);
      } catch (error) {
        failed('endpointDown', error);
      }
    },
  };
}
