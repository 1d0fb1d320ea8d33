/** MessageQueueTriggers: an EventSource each, and EventSinks for `respTopic` and `errorTopic`, which belong to the trigger. */
import { reachableHost } from '../../base/reachable.ts';
import { childName } from '../../kinds/child-name.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { Json, KubeObject, UntypedObject } from '../../kinds/object.ts';
import { orUndefined, type ResourceRef } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { createInformer, type Informer } from '../../kube/informer.ts';
import { controllerReference, isControlledBy } from '../../kube/owners.ts';
import { apiVersionOf, EVENT_SINKS, EVENT_SOURCES, SECRETS } from '../../kube/refs.ts';
import { found, withFindings } from './conditions.ts';
import { type Context, type Part, writeStatus } from './context.ts';
import { withIgnored } from './ignored.ts';
import { FISSION, type Problem, type QueueTrigger } from './model.ts';
import { translatedName } from './parts.ts';
import {
  type QueueObjects,
  type QueueSurroundings,
  queueObjects,
  type SecretData,
  sourceType,
} from './queue-sources.ts';
import { queuePath } from './routes.ts';

/** Which trigger an object belongs to. */
const TRIGGER_LABEL = 'fission.io/message-queue-trigger';

export function createQueues(context: Context): Part {
  const { caches, client, gateway, clock, log } = context;
  /** Begins with the first trigger. */
  let sources: Informer<UntypedObject> | undefined;

  const follow = async (): Promise<Informer<UntypedObject>> => {
    if (sources === undefined) {
      sources = createInformer<UntypedObject>({
        client,
        resource: EVENT_SOURCES,
        log,
        clock,
        labelSelector: TRIGGER_LABEL,
      });
      const changed = ({ metadata }: KubeObject) =>
        controller.enqueue(`${metadata.namespace}/${metadata.labels?.[TRIGGER_LABEL]}`);
      sources.addHandler({ add: changed, update: changed, delete: changed });
      sources.start();
    }
    await sources.synced;
    return sources;
  };

  const secretOf = async ({ metadata, spec }: QueueTrigger): Promise<SecretData | undefined> => {
    if (!spec.secret) return {};
    const secret = await orUndefined(client.get<UntypedObject>(SECRETS, metadata.namespace, spec.secret));
    if (secret === undefined) return undefined;
    return Object.fromEntries(
      Object.entries<string>(secret.data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(value, 'base64').toString('utf8'),
      ]),
    );
  };

  /** Undefined: somebody else has an object of that name. */
  const ensure = async (
    resource: ResourceRef,
    trigger: QueueTrigger,
    name: string,
    spec: Json,
  ): Promise<UntypedObject | undefined> => {
    const { namespace } = trigger.metadata;
    const there = await orUndefined(client.get<UntypedObject>(resource, namespace, name));
    if (there === undefined)
      return client.create(resource, {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: {
          name,
          namespace,
          labels: { [TRIGGER_LABEL]: trigger.metadata.name },
          ownerReferences: [controllerReference({ ...trigger, ...KIND })],
        },
        spec,
      } as UntypedObject);
    if (!isControlledBy(there, trigger)) return undefined;
    // Of another broker altogether: the type of such objects stays.
    if (there.spec.type !== (spec as { type?: string }).type) {
      await client.delete(resource, namespace, name, { preconditions: { uid: there.metadata.uid ?? '' } });
      throw new Error('the objects of the trigger are being replaced');
    }
    return client.update(resource, { ...there, spec });
  };

  /** What stands for a function that is called by its name alone. */
  const targetOf = ({ metadata, spec }: QueueTrigger): QueueSurroundings['target'] => {
    const { type, name: of = '', alias, version } = spec.functionref;
    if (type === 'function-weights' || alias || version) return undefined;
    const name = translatedName(of);
    if (caches.targets.get(metadata.namespace, name))
      return { apiVersion: 'petrel.dev/v1', kind: 'Function', name };
    if (caches.services.get(metadata.namespace, name))
      return { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name };
    return undefined;
  };

  /** A sink of the trigger's own, or none any more. */
  const ensureSink = async (
    trigger: QueueTrigger,
    name: string,
    spec: Record<string, Json> | undefined,
  ): Promise<Problem | undefined> => {
    if (spec !== undefined)
      return (await ensure(EVENT_SINKS, trigger, name, spec)) ? undefined : taken('EventSink', name);
    const { namespace } = trigger.metadata;
    const there = await orUndefined(client.get<UntypedObject>(EVENT_SINKS, namespace, name));
    if (there && isControlledBy(there, trigger))
      await orUndefined(client.delete(EVENT_SINKS, namespace, name));
    return undefined;
  };

  const apply = async (trigger: QueueTrigger): Promise<Problem | undefined> => {
    const { name } = trigger.metadata;
    const names = { errors: childName(name, '-errors'), answers: childName(name, '-answers') };
    const secret = await secretOf(trigger);
    if (secret === undefined)
      return { reason: 'SecretNotFound', message: `There is no Secret "${trigger.spec.secret}".` };
    const base = `http://${reachableHost(gateway.address.host)}:${gateway.address.port}`;
    const target = targetOf(trigger);
    const type = sourceType(trigger.spec.messageQueueType ?? '');
    const fromKeda = type === undefined ? undefined : await context.fromKeda(type);
    const wanted = queueObjects(trigger, {
      secret,
      base,
      path: queuePath(context.storagePath, trigger),
      names,
      fromKeda: () => fromKeda,
      ...(target && { target }),
    });
    if (isProblem(wanted)) return wanted;
    for (const sink of ['errors', 'answers'] as const) {
      const problem = await ensureSink(trigger, names[sink], wanted[sink]);
      if (problem) return problem;
    }
    const source = await ensure(EVENT_SOURCES, trigger, name, wanted.source);
    if (source === undefined) return taken('EventSource', name);
    const ready = conditionOf(source, 'Ready');
    if (ready?.status === 'True') return undefined;
    return { reason: ready?.reason || 'Starting', message: ready?.message || 'The source is being started.' };
  };

  const controller = createController({
    name: 'fission-queues',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const trigger = caches.queueTriggers.get(namespace, name);
      // What is its own goes with it.
      if (trigger === undefined || trigger.metadata.deletionTimestamp !== undefined) return undefined;
      await follow();
      const problem = await apply(trigger);
      const { generation } = trigger.metadata;
      const findings = withIgnored(trigger, [found('BindingReady', problem), found('Ready', problem)]);
      await writeStatus(client, FISSION.queueTriggers, trigger, {
        observedGeneration: generation ?? 1,
        conditions: withFindings(trigger.status?.conditions, findings, generation, clock.now()),
      });
      return undefined;
    },
  });
  const enqueue = (object: KubeObject) => controller.enqueue(keyOf(object));
  caches.queueTriggers.addHandler({ add: enqueue, update: enqueue });
  return {
    start: () => controller.start(),
    async stop() {
      await controller.stop();
      sources?.stop();
    },
  };
}

const KIND = { apiVersion: 'fission.io/v1', kind: FISSION.queueTriggers.kind };

const taken = (kind: string, of: string): Problem => ({
  reason: 'NameTaken',
  message: `There is another ${kind} "${of}".`,
});

const isProblem = (value: QueueObjects | Problem): value is Problem => !('source' in value);
