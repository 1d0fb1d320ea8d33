/** What a platform goes through while its users go on asking: each change must cost them nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Json } from '../../src/kinds/object.ts';
import type { Pod } from '../../src/kinds/pod.ts';
import type { Service } from '../../src/kinds/serving.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { CONFIGMAPS, KSERVICES, PODS } from '../../src/kube/refs.ts';
import { isReady } from './services.ts';

export interface Subject {
  client: KubeClient;
  /** Process of the platform. */
  pid: number;
  /** Name of a Knative Service in namespace `default`. */
  name: string;
}

export interface Change {
  what: string;
  run(subject: Subject): Promise<void>;
}

const PATIENCE_MS = 60_000;

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS / 1000} s`);
    await sleep(50);
  }
}

const service = ({ client, name }: Subject) => client.get<Service>(KSERVICES, 'default', name);

/** Resolves when the latest generation of the Service is Ready. */
export const ready = (subject: Subject): Promise<Service> =>
  until(`${subject.name} Ready`, async () => {
    const one = await service(subject);
    return isReady(one) ? one : undefined;
  });

/** The Pods that serve, without those that are on their way out. */
export async function instances({ client, name }: Subject): Promise<Pod[]> {
  const { items } = await client.list<Pod>(PODS, {
    namespace: 'default',
    labelSelector: `serving.knative.dev/service=${name}`,
  });
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

const patch = ({ client, name }: Subject, spec: Json) =>
  client.patch(KSERVICES, 'default', name, 'merge', { spec });

const newTemplate = (subject: Subject, annotations: Record<string, string>) =>
  patch(subject, { template: { metadata: { annotations } } });

async function rollOut(subject: Subject): Promise<void> {
  await newTemplate(subject, { 'example.com/version': `${performance.now()}` });
  await ready(subject);
}

const latest = [{ latestRevision: true, percent: 100 }];

export const CHANGES: Change[] = [
  {
    what: 'three rollouts',
    async run(subject) {
      for (let round = 0; round < 3; round++) await rollOut(subject);
    },
  },
  {
    what: 'rollback and forth',
    async run(subject) {
      const before = (await ready(subject)).status?.latestReadyRevisionName ?? '';
      await rollOut(subject);
      await patch(subject, { traffic: [{ revisionName: before, percent: 100 }] });
      await ready(subject);
      await sleep(1000);
      await patch(subject, { traffic: latest });
      await ready(subject);
    },
  },
  {
    what: 'split moved in steps',
    async run(subject) {
      const before = (await ready(subject)).status?.latestReadyRevisionName ?? '';
      await patch(subject, { traffic: [{ revisionName: before, percent: 100 }] });
      await rollOut(subject);
      for (const percent of [10, 50, 90]) {
        await patch(subject, {
          traffic: [
            { revisionName: before, percent: 100 - percent },
            { latestRevision: true, percent },
          ],
        });
        await ready(subject);
        await sleep(300);
      }
      await patch(subject, { traffic: latest });
      await ready(subject);
    },
  },
  {
    what: 'to four instances and back to one',
    async run(subject) {
      await newTemplate(subject, { 'autoscaling.knative.dev/min-scale': '4' });
      await ready(subject);
      await newTemplate(subject, { 'autoscaling.knative.dev/min-scale': '1' });
      await ready(subject);
      await sleep(2000);
    },
  },
  {
    what: 'instances evicted one by one',
    async run(subject) {
      for (let round = 0; round < 3; round++) {
        for (const { metadata } of await instances(subject)) {
          await subject.client.delete(PODS, metadata.namespace, metadata.name);
          await until('another instance', async () => {
            const others = (await instances(subject)).filter(({ metadata: { uid } }) => uid !== metadata.uid);
            return others.length > 0 ? true : undefined;
          });
        }
      }
    },
  },
  {
    what: 'autoscaler configuration changed',
    async run({ client }) {
      for (const window of ['30s', '60s']) {
        await client.patch(CONFIGMAPS, 'knative-serving', 'config-autoscaler', 'merge', {
          data: { 'stable-window': window },
        });
        await sleep(1000);
      }
    },
  },
  {
    what: 'gateway restarted',
    async run({ pid }) {
      for (let round = 0; round < 3; round++) {
        process.kill(pid, 'SIGUSR2');
        await sleep(1500);
      }
    },
  },
];
