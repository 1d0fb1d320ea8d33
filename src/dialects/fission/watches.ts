/** KubernetesWatchTriggers: functions called when objects change. Only changes from now on count, and labels are heeded. */
import type { KubeObject } from '../../kinds/object.ts';
import { KubeError, type ResourceRef } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { createInformer, type Informer } from '../../kube/informer.ts';
import { JOBS, PODS, SERVICES } from '../../kube/refs.ts';
import { found, withFindings } from './conditions.ts';
import { type Context, type Part, writeStatus } from './context.ts';
import type { Invoker } from './invoke.ts';
import { FISSION, type Problem, type WatchTrigger } from './model.ts';

const WATCHED: Record<string, ResourceRef> = {
  POD: PODS,
  SERVICE: SERVICES,
  JOB: JOBS,
  REPLICATIONCONTROLLER: {
    group: '',
    version: 'v1',
    plural: 'replicationcontrollers',
    kind: 'ReplicationController',
    namespaced: true,
  },
};
/** Changes that may wait for a function that is slower than they come; older ones are given up. */
const MAX_WAITING = 1000;

interface Subscription {
  of: string;
  informer: Informer<KubeObject>;
}

export function createWatches(context: Context, invoker: Invoker): Part {
  const { caches, client, clock, log } = context;
  const subscriptions = new Map<string, Subscription>();

  const unsubscribe = (key: string) => {
    subscriptions.get(key)?.informer.stop();
    subscriptions.delete(key);
  };

  /** One after the other, in the order in which things happened. */
  const deliverer = (trigger: WatchTrigger, kind: string) => {
    const waiting: [type: string, object: KubeObject][] = [];
    let busy = false;
    const { namespace = 'default', name } = trigger.metadata;
    const work = async () => {
      busy = true;
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [type, object] = next;
        await invoker.invoke({
          namespace,
          reference: trigger.spec.functionref,
          method: 'POST',
          path: '/',
          headers: {
            'content-type': 'application/json',
            'x-kubernetes-event-type': type,
            'x-kubernetes-object-type': kind,
          },
          body: JSON.stringify(object),
        });
      }
      busy = false;
    };
    return (type: string, object: KubeObject) => {
      waiting.push([type, object]);
      if (waiting.length > MAX_WAITING) {
        waiting.shift();
        log.warn('a watch trigger gave up the oldest change', { trigger: `${namespace}/${name}` });
      }
      if (!busy) void work();
    };
  };

  const subscribe = async (key: string, trigger: WatchTrigger): Promise<Problem | undefined> => {
    const of = JSON.stringify([trigger.metadata.uid, trigger.spec]);
    if (subscriptions.get(key)?.of === of) return undefined;
    unsubscribe(key);
    const { type, namespace, labelselector } = trigger.spec;
    const resource = WATCHED[type.toUpperCase()];
    if (resource === undefined) return { reason: 'InvalidType', message: `"${type}" cannot be watched.` };
    const within = namespace || trigger.metadata.namespace || 'default';
    try {
      await client.list(resource, { namespace: within, limit: 1 });
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 404) throw error;
      return { reason: 'NotServed', message: `This API has no ${resource.kind}s.` };
    }
    const selector = Object.entries(labelselector ?? {}).map(([label, value]) => `${label}=${value}`);
    const informer = createInformer<KubeObject>({
      client,
      resource,
      log,
      clock,
      namespace: within,
      ...(selector.length > 0 ? { labelSelector: selector.join(',') } : {}),
    });
    const deliver = deliverer(trigger, resource.kind);
    const now = (eventType: string) => (object: KubeObject) => {
      if (informer.hasSynced) deliver(eventType, object);
    };
    informer.addHandler({ add: now('ADDED'), update: now('MODIFIED'), delete: now('DELETED') });
    informer.start();
    subscriptions.set(key, { of, informer });
    return undefined;
  };

  const controller = createController({
    name: 'fission-watches',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const trigger = caches.watchTriggers.get(namespace, name);
      if (trigger === undefined) {
        unsubscribe(key);
        return undefined;
      }
      const problem = await subscribe(key, trigger);
      const { generation } = trigger.metadata;
      const findings = [found('Subscribed', problem), found('Ready', problem)];
      await writeStatus(client, FISSION.watchTriggers, trigger, {
        observedGeneration: generation ?? 1,
        conditions: withFindings(trigger.status?.conditions, findings, generation, clock.now()),
      });
      return undefined;
    },
  });
  const enqueue = (trigger: WatchTrigger) => controller.enqueue(keyOf(trigger));
  caches.watchTriggers.addHandler({ add: enqueue, update: enqueue, delete: enqueue });

  return {
    start: () => controller.start(),
    async stop() {
      await controller.stop();
      for (const key of [...subscriptions.keys()]) unsubscribe(key);
    },
  };
}
