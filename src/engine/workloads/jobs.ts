/** Starts what runs Jobs with the first Job; a platform that has none pays one look at each commit. */
import { systemClock } from '../../base/clock.ts';
import type { StoreEvent } from '../store/contract.ts';
import type { GarbageCollectorOptions, WorkloadController } from './garbage-collector.ts';
import type { JobController } from './job-controller.ts';

const RESOURCE = 'batch/jobs';

export function createJobStarter({ store, client, log }: GarbageCollectorOptions): WorkloadController {
  let running: Promise<JobController> | undefined;
  let unsubscribe: (() => void) | undefined;
  const begin = () => {
    unsubscribe?.();
    unsubscribe = undefined;
    running ??= import('./job-controller.ts').then(({ createJobController }) => {
      const controller = createJobController({ client, log, clock: systemClock });
      controller.start();
      return controller;
    });
  };
  const observe = (event: StoreEvent) => {
    if (event.type !== 'DELETED') begin();
  };
  return {
    async start() {
      if (store.count(RESOURCE) > 0) begin();
      else unsubscribe = store.subscribe(RESOURCE, observe);
    },
    async stop() {
      unsubscribe?.();
      await (await running)?.stop();
    },
  };
}
