/**
 * ContainerSource: a program that sends its events to `$K_SINK`. Source: knative.dev/eventing `pkg/reconciler/containersource`. Upstream makes a
 * Deployment and a SinkBinding; one Pod that is kept is all there is to it, and runs wherever there are Pods.
 */
import { createHash } from 'node:crypto';
import { childName } from '../../kinds/child-name.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import { containersWith, sinkVariables } from '../../kinds/eventing/bindings.ts';
import type { ContainerSource } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { KubeError } from '../../kube/client.ts';
import { controllerReference, isControlledBy } from '../../kube/owners.ts';
import { CONTAINER_SOURCES, PODS } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { provideSink } from './sources.ts';

const HASH = 'eventing.petrel.dev/template-hash';
const NAME_LABEL = 'sources.knative.dev/containerSource';
const READY = 'ReceiveAdapterReady';
const BOUND = 'SinkBindingReady';
/** States of a container that do not pass by themselves. */
const WAITING: ReadonlySet<string> = new Set([
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
]);

/** The Pod that is to be. */
function podOf(source: ContainerSource, variables: ReturnType<typeof sinkVariables>): UntypedObject {
  const { template } = source.spec;
  const { name, namespace } = source.metadata;
  const { metadata, spec } = structuredClone(template);
  const pod = {
    ...spec,
    restartPolicy: 'Always',
    containers: containersWith(spec.containers, variables),
    ...(spec.initContainers && { initContainers: containersWith(spec.initContainers, variables) }),
  };
  const labels = { ...metadata?.labels, [NAME_LABEL]: name };
  const hash = createHash('sha256')
    .update(JSON.stringify([pod, labels, metadata?.annotations]))
    .digest('hex');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: childName(name, '-source'),
      namespace: namespace ?? '',
      labels,
      annotations: { ...metadata?.annotations, [HASH]: hash },
      ownerReferences: [controllerReference(source)],
    },
    spec: pod,
  } as UntypedObject;
}

/** What keeps a Pod from running, where that is known. */
function trouble({ status }: UntypedObject): { reason: string; message: string } | undefined {
  for (const { state } of status?.containerStatuses ?? []) {
    const { reason = '', message = '' } = state?.waiting ?? {};
    if (WAITING.has(reason)) return { reason, message };
  }
  return undefined;
}

export function containerSources({ client, events }: ControlContext): Kind<ContainerSource> {
  /** The Pod as the API has it; undefined while another one goes. */
  const ensure = async (
    { object, namespace, reader }: Pass<ContainerSource>,
    wanted: UntypedObject,
  ): Promise<UntypedObject | undefined> => {
    const { name, annotations } = wanted.metadata;
    const there = await reader.get(PODS, namespace, name);
    if (there === undefined) {
      const made = await client.create(PODS, wanted);
      events.record(object, 'Normal', 'ContainerSourcePodCreated', `Created Pod ${JSON.stringify(name)}`);
      return made;
    }
    if (there.metadata.deletionTimestamp !== undefined) return undefined;
    if (!isControlledBy(there, object))
      throw new KubeError(409, 'Conflict', `Pod ${JSON.stringify(name)} is not owned by the source`);
    const same = there.metadata.annotations?.[HASH] === annotations?.[HASH];
    const ended = ['Failed', 'Succeeded'].includes(there.status?.phase);
    if (same && !ended) return there;
    await client.delete(PODS, namespace, name, { preconditions: { uid: there.metadata.uid ?? '' } });
    return undefined;
  };

  return {
    resource: CONTAINER_SOURCES,
    dependents: [BOUND, READY],
    async reconcile(pass) {
      const { object, status, conditions } = pass;
      const sink = await provideSink(pass);
      const provided = conditions.get('SinkProvided');
      if (sink === undefined) {
        conditions.markFalse(BOUND, provided?.reason ?? 'NotFound', provided?.message ?? '');
        conditions.markUnknown(READY, 'SinkMissing', 'The program begins when its sink is there.');
        return undefined;
      }
      conditions.markTrue(BOUND);
      const address = {
        url: status.sinkUri ?? '',
        ...(status.sinkCACerts && { CACerts: status.sinkCACerts }),
      };
      const wanted = podOf(object, sinkVariables(address, object.spec.ceOverrides));
      let pod: UntypedObject | undefined;
      try {
        pod = await ensure(pass, wanted);
      } catch (error) {
        if (!(error instanceof KubeError) || ![400, 403, 409, 422].includes(error.code)) throw error;
        conditions.markFalse(READY, 'PodRefused', error.message);
        return undefined;
      }
      const why = pod && trouble(pod);
      if (pod && conditionOf(pod, 'Ready')?.status === 'True') conditions.markTrue(READY);
      else if (why) conditions.markFalse(READY, why.reason, why.message);
      else {
        const message = `The Pod '${wanted.metadata.name}' is unavailable.`;
        conditions.markUnknown(READY, 'PodUnavailable', message);
      }
      return undefined;
    },
    // The Pod goes with its owner.
    gone() {},
  };
}
