/**
 * Runs Jobs: makes their Pods, counts how they end, and says what became of the whole. `job-state.ts` decides. Works through the API
 * alone; the caches only tell when to look, what is decided on is read from the API.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { JOB_CONTROLLER, JOB_FINALIZER, JOB_LABELS, type Job, type JobStatus } from '../../kinds/job.ts';
import { generateName } from '../../kinds/name.ts';
import type { Pod } from '../../kinds/pod.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { createEventRecorder } from '../../kube/events.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { createInformer } from '../../kube/informer.ts';
import { JOBS, PODS } from '../../kube/refs.ts';
import { planJob } from './job-state.ts';

export interface JobControllerOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  random?: () => number;
}

export interface JobController {
  /** Begins to work in the background. */
  start(): void;
  stop(): Promise<void>;
}

export function createJobController(options: JobControllerOptions): JobController {
  const { client, clock, log } = options;
  const random = options.random ?? Math.random;
  const jobs = createInformer<Job>({ client, resource: JOBS, log, clock });
  const pods = createInformer<Pod>({ client, resource: PODS, log, clock, labelSelector: JOB_LABELS.uid });
  const events = createEventRecorder({ client, component: 'job-controller', log, now: clock.now });

  const podsOf = async (namespace: string, uid: string): Promise<Pod[]> => {
    const { items } = await client.list<Pod>(PODS, {
      namespace,
      labelSelector: `${JOB_LABELS.uid}=${uid}`,
    });
    return items.filter((pod) => pod.metadata.ownerReferences?.some((o) => o.controller && o.uid === uid));
  };

  const release = async (pod: Pod): Promise<void> => {
    const finalizers = (pod.metadata.finalizers ?? []).filter((name) => name !== JOB_FINALIZER);
    const { namespace, name, uid = '' } = pod.metadata;
    await orUndefined(client.patch(PODS, namespace, name, 'merge', { metadata: { uid, finalizers } }));
  };

  const create = async (job: Job): Promise<void> => {
    const { name, namespace, uid = '' } = job.metadata;
    const { metadata = {}, spec } = job.spec.template;
    const pod = await client.create<Pod>(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...metadata,
        name: generateName(`${name}-`, random),
        generateName: `${name}-`,
        namespace,
        finalizers: [JOB_FINALIZER],
        ownerReferences: [
          {
            apiVersion: job.apiVersion,
            kind: job.kind,
            name,
            uid,
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec,
    });
    events.record(job, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
  };

  const writeStatus = async (job: Job, status: JobStatus): Promise<void> => {
    if (JSON.stringify(status) === JSON.stringify(job.status)) return;
    await client.updateStatus<Job>(JOBS, { ...job, status });
  };

  const reconcile = async (key: string): Promise<number | undefined> => {
    const { namespace, name } = splitKey(key);
    const job = await orUndefined(client.get<Job>(JOBS, namespace, name));
    const managedBy = job?.spec.managedBy ?? JOB_CONTROLLER;
    if (!job || job.metadata.deletionTimestamp !== undefined) {
      // Nobody counts any more: what the garbage collector deletes must not be held back.
      for (const pod of pods.byIndex('namespace', namespace ?? '')) {
        const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller);
        if (owner?.name === name && owner.uid !== jobs.get(namespace, name)?.metadata.uid) await release(pod);
        else if (owner?.uid === job?.metadata.uid && pod.metadata.deletionTimestamp) await release(pod);
      }
      return undefined;
    }
    if (managedBy !== JOB_CONTROLLER) return undefined;
    const plan = planJob(job, await podsOf(namespace ?? '', job.metadata.uid ?? ''), clock.now());
    if (plan.expired) {
      const { uid } = job.metadata;
      await orUndefined(
        client.delete(JOBS, namespace, name, { propagationPolicy: 'Foreground', preconditions: { uid } }),
      );
      return undefined;
    }
    // Written down first: a Pod whose finalizer is gone can no longer be counted.
    await writeStatus(job, plan.status);
    for (const { type, reason, message } of plan.events) events.record(job, type, reason, message);
    await Promise.all([
      ...plan.release.map(release),
      ...plan.delete.map((pod) => orUndefined(client.delete(PODS, namespace, pod.metadata.name))),
    ]);
    try {
      for (let made = 0; made < plan.create; made++) await create(job);
    } catch (error) {
      events.record(job, 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
      throw error;
    }
    // What was made is seen by the next look.
    if (plan.create > 0) controller.enqueue(key);
    return plan.againMs;
  };

  const controller = createController({ name: 'jobs', log, clock, reconcile });
  const enqueue = (job: Job) => controller.enqueue(keyOf(job));
  const ownerOf = (pod: Pod) => {
    const owner = pod.metadata.ownerReferences?.find(({ controller: is, kind }) => is && kind === 'Job');
    if (owner) controller.enqueue(keyOf({ ...pod, metadata: { ...pod.metadata, name: owner.name } }));
  };
  jobs.addHandler({ add: enqueue, update: enqueue, delete: enqueue });
  pods.addHandler({ add: ownerOf, update: ownerOf, delete: ownerOf });

  return {
    start() {
      jobs.start();
      pods.start();
      void Promise.all([jobs.synced, pods.synced]).then(() => controller.start());
    },
    async stop() {
      jobs.stop();
      pods.stop();
      await controller.stop();
      await events.flush();
    },
  };
}
