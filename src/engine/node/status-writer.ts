/** Writes Pod statuses: one write in flight per Pod, what happens meanwhile in the next, nothing when nothing has changed. */
import { type Clock, sleep, type Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Json } from '../../kinds/object.ts';
import type { Pod, PodStatus } from '../../kinds/pod.ts';
import { backoffDelay } from '../../kube/backoff.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { PODS } from '../../kube/refs.ts';

export interface StatusWriter {
  /** The status has changed. Not urgent: may wait a moment for what follows. */
  report(urgent: boolean): void;
  /** Resolves when the newest status has been written, or the Pod is gone. */
  flush(): Promise<void>;
  stop(): void;
}

/** Changes that follow each other at a start become one write. */
const COALESCE_MS = 25;

export function createStatusWriter(options: {
  client: KubeClient;
  pod: Pod;
  compute: () => PodStatus;
  clock: Clock;
  log: Logger;
}): StatusWriter {
  const { client, pod, clock, log } = options;
  let written = JSON.stringify(pod.status ?? {});
  let writing: Promise<void> | undefined;
  let timer: Timer | undefined;
  let dirty = false;
  let stopped = false;

  const write = async () => {
    // What changes in the same turn, as running and ready do, is one write.
    await Promise.resolve();
    for (let failures = 0; dirty && !stopped; ) {
      dirty = false;
      const status = options.compute();
      const text = JSON.stringify(status);
      if (text === written) continue;
      const { name, namespace, uid } = pod.metadata;
      try {
        // The uid refuses the write when another Pod has taken the name meanwhile. A merge patch replaces whole lists: a
        // strategic one would keep the reason of a condition that has none any more.
        const patch = { metadata: { uid }, status } as unknown as Json;
        await client.patch(PODS, namespace, name, 'merge', patch, { subresource: 'status' });
        written = text;
        failures = 0;
      } catch (error) {
        if (error instanceof KubeError && (error.code === 404 || error.code === 409)) return;
        failures++;
        dirty = true;
        log.warn('the status of a Pod was not written; trying again', {
          pod: `${namespace}/${name}`,
          error: messageOf(error),
        });
        await sleep(clock, backoffDelay(failures, { baseMs: 50, maxMs: 10_000, random: Math.random }));
      }
    }
  };
  const begin = () => {
    timer?.cancel();
    timer = undefined;
    writing ??= write().finally(() => {
      writing = undefined;
      if (dirty && !stopped) begin();
    });
  };

  return {
    report(urgent) {
      if (stopped) return;
      dirty = true;
      if (urgent) begin();
      else timer ??= clock.after(COALESCE_MS, begin);
    },
    async flush() {
      if (dirty) begin();
      while (writing) await writing;
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
