/** JobSink: each event begins a Job that has it as a file. Source: knative.dev/eventing `pkg/reconciler/jobsink`, `cmd/jobsink`. */
import { createHash } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import { childName } from '../../kinds/child-name.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { JobSink } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { KubeError, orUndefined } from '../../kube/client.ts';
import { controllerReference, isControlledBy } from '../../kube/owners.ts';
import { JOB_SINKS, JOBS, SECRETS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import { JOB, type JobAnswer, type JobQuestion } from '../sinks/job/job.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markPolicies } from './marks.ts';

const NAME_LABEL = 'sinks.knative.dev/job-sink-name';
const ID_LABEL = 'sinks.knative.dev/job-sink-id';
const VOLUME = 'jobsink-event';
const MOUNT = '/etc/jobsink-event';

const keyOf = (namespace: string, name: string): string => `job/${namespace}/${name}`;
const hashOf = (source: string, id: string): string =>
  createHash('md5').update(`${source}-${id}`).digest('hex');

/** True when it was made now; false when it was there. */
async function createOnce(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'AlreadyExists') return false;
    throw error;
  }
}

/** The Job of one event: the template with the Secret of that name mounted. */
export function jobOf(sink: JobSink, name: string, hash: string): UntypedObject {
  const job = structuredClone(sink.spec.job) as UntypedObject;
  const { labels, annotations } = job.metadata ?? {};
  const pod = job.spec.template.spec;
  pod.volumes ??= [];
  if (!pod.volumes.some((volume: { name: string }) => volume.name === VOLUME))
    pod.volumes.push({ name: VOLUME, secret: { secretName: name } });
  for (const container of pod.containers) {
    container.volumeMounts ??= [];
    if (!container.volumeMounts.some((mount: { name: string }) => mount.name === VOLUME))
      container.volumeMounts.push({ name: VOLUME, mountPath: MOUNT, readOnly: true });
  }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace: sink.metadata.namespace ?? '',
      ...(annotations && { annotations }),
      labels: { ...labels, [ID_LABEL]: hash, [NAME_LABEL]: sink.metadata.name },
      ownerReferences: [controllerReference(sink)],
    },
    spec: job.spec,
  } as UntypedObject;
}

/** What an event's Job says of itself, as upstream answers. */
function stateOf(job: UntypedObject | undefined): JobAnswer {
  if (job === undefined) return { status: 404 };
  if (conditionOf(job, 'Failed')?.status === 'True') return { status: 400, reason: 'Failed' };
  if (conditionOf(job, 'Complete')?.status === 'True') return { status: 200, reason: 'Complete' };
  return { status: 202 };
}

export function jobSinks(context: ControlContext): Kind<JobSink> {
  const { client, engine, base, log } = context;

  /**
   * Once for each (source, id): what was begun and not finished is gone on with. The Secret is there before the Job, whose Pod mounts it,
   * and goes with it.
   */
  const begin = async (sink: JobSink, name: string, hash: string, event: string): Promise<void> => {
    const { namespace = '' } = sink.metadata;
    const labels = { [ID_LABEL]: hash, [NAME_LABEL]: sink.metadata.name };
    await createOnce(
      client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace, labels, ownerReferences: [controllerReference(sink)] },
        type: 'Opaque',
        immutable: true,
        data: { event: Buffer.from(event).toString('base64') },
      } as unknown as UntypedObject),
    );
    await createOnce(client.create(JOBS, jobOf(sink, name, hash)));
    const job = await client.get<UntypedObject>(JOBS, namespace, name);
    if (!isControlledBy(job, sink)) throw new Error(`Job ${name} is not the sink's`);
    await client.patch(SECRETS, namespace, name, 'merge', {
      metadata: { ownerReferences: [{ ...controllerReference(job) }] },
    });
  };

  const answer = async ({ namespace, name, source, id, event }: JobQuestion): Promise<JobAnswer> => {
    const sink = context.objects.informer(JOB_SINKS).get(namespace, name) as unknown as JobSink | undefined;
    if (sink === undefined) return { status: 404, reason: `there is no JobSink ${namespace}/${name}` };
    const hash = hashOf(source, id);
    const child = childName(name, hash);
    const job = await orUndefined(client.get<UntypedObject>(JOBS, namespace, child));
    if (event === undefined) return stateOf(job);
    if (job !== undefined && isControlledBy(job, sink)) return { status: 202 };
    try {
      await begin(sink, child, hash, event);
      return { status: 202 };
    } catch (error) {
      log.warn('the Job of an event could not be made', {
        sink: `${namespace}/${name}`,
        error: messageOf(error),
      });
      return { status: 500, reason: messageOf(error) };
    }
  };
  engine.serve(JOB, async (input) => ({ ...(await answer(input as unknown as JobQuestion)) }));

  return {
    resource: JOB_SINKS,
    dependents: ['Addressable', 'EventPoliciesReady'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = keyOf(namespace, name);
      markPolicies(conditions, context.config().features);
      engine.setSink(key, { key, uid: object.metadata.uid ?? '', type: 'job', config: {} });
      status.job = { selector: `${NAME_LABEL}=${name}` };
      status.address = { name: 'http', url: addressUrl(base, key) };
      conditions.markTrue('Addressable');
      return undefined;
    },
    gone: (namespace, name) => engine.setSink(keyOf(namespace, name), null),
  };
}
