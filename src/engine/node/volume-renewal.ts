/** Keeps the files of a Pod's volumes up to date under containers that run. */
import type { Timer } from '../../base/clock.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { WorkerContext } from './context.ts';
import { renewVolumes } from './launch.ts';

export interface VolumeRenewal {
  /** Something that the files are made of has changed. */
  renew(): void;
  /** A container has started: tokens in its volumes will have to be replaced in time. */
  started(): void;
  stop(): void;
}

/** `current` is the Pod as it is now; undefined when nothing of it runs that could see the files. */
export function createVolumeRenewal(context: WorkerContext, current: () => Pod | undefined): VolumeRenewal {
  let timer: Timer | undefined;
  const renew = () => {
    const pod = current();
    if (!pod?.spec.volumes?.length) return;
    void context
      .config(pod)
      .then((config) => renewVolumes(context, pod, config))
      .catch(() => {})
      .finally(schedule);
  };
  const schedule = () => {
    timer?.cancel();
    const ms = context.tokens.renewIn(current()?.metadata.uid ?? '');
    if (ms !== undefined) timer = context.clock.after(ms, renew);
  };
  return { renew, started: schedule, stop: () => timer?.cancel() };
}
