/** A Function as the Knative Service it owns, and the Service's state as the Function's. Pure. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { withCondition } from '../../kinds/conditions.ts';
import {
  CODE_ANNOTATIONS,
  type Digest,
  FUNCTION_LABELS,
  type FunctionStatus,
  ONCE_ONLY_ANNOTATION,
  type PetrelFunction,
  POD_LABELS_ANNOTATION,
  REVISION_NAME_ANNOTATION,
  RUNTIME_IMAGE_PREFIX,
  SERVICE_ANNOTATIONS,
} from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Container } from '../../kinds/pod.ts';
import type { Revision, RevisionTemplate, Service } from '../../kinds/serving.ts';
import { BUILD_CONDITION } from '../builds/status.ts';
import { USER_CONTAINER } from '../pool/pods.ts';
import { provisionedAnnotations } from '../versions/provisioned.ts';

/** On the owned Service: digest of the template the Function asked for, so that fields taken out of it are noticed. */
const TEMPLATE_ANNOTATION = 'petrel.dev/template';

/** Annotations on a Function with these prefixes tune how its revisions scale, as on a Knative template. */
const AUTOSCALING_PREFIXES = ['autoscaling.knative.dev/', 'autoscaling.petrel.dev/'];

/** What the Function's Service must run; `digest` is the package that instances load, absent for an image. */
function templateOf({ metadata, spec }: PetrelFunction, digest: Digest | undefined): RevisionTemplate {
  const tuning = Object.entries(metadata.annotations ?? {}).filter(([key]) =>
    AUTOSCALING_PREFIXES.some((prefix) => key.startsWith(prefix)),
  );
  const annotations: Record<string, string> = {
    ...Object.fromEntries(tuning.sort()),
    ...(digest && { [CODE_ANNOTATIONS.package]: digest, [CODE_ANNOTATIONS.runtime]: spec.runtime }),
  };
  for (const key of ['entry', 'handler', 'shape'] as const) {
    const value = spec[key];
    if (value !== undefined) annotations[CODE_ANNOTATIONS[key]] = value;
  }
  const zygote = metadata.annotations?.[CODE_ANNOTATIONS.zygote];
  if (zygote !== undefined) annotations[CODE_ANNOTATIONS.zygote] = zygote;
  if (spec.debugPort !== undefined) annotations[CODE_ANNOTATIONS.debugPort] = String(spec.debugPort);
  if (spec.onceOnly) annotations[ONCE_ONLY_ANNOTATION] = 'true';
  if (spec.state !== undefined) annotations[CODE_ANNOTATIONS.state] = spec.state.keyspace ?? metadata.name;
  // A debugger's port can be had once, and is there before the first request.
  const { min, max } = spec.debugPort === undefined ? (spec.scale ?? {}) : { min: 1, max: 1 };
  if (min !== undefined) annotations['autoscaling.knative.dev/min-scale'] = String(min);
  if (max !== undefined) annotations['autoscaling.knative.dev/max-scale'] = String(max);
  const container: Container = {
    name: USER_CONTAINER,
    image: spec.image ?? RUNTIME_IMAGE_PREFIX + spec.runtime,
  };
  for (const key of ['env', 'envFrom', 'resources', 'volumeMounts'] as const) {
    if (spec[key] !== undefined) Object.assign(container, { [key]: spec[key] });
  }
  const name = metadata.annotations?.[REVISION_NAME_ANNOTATION];
  return {
    metadata: {
      ...(name && { name }),
      labels: { ...podLabels(metadata.annotations), [FUNCTION_LABELS.function]: metadata.name },
      annotations,
    },
    spec: {
      containers: [container],
      ...(spec.volumes ? { volumes: spec.volumes } : {}),
      ...(spec.concurrency === undefined ? {} : { containerConcurrency: spec.concurrency }),
      ...(spec.onceOnly ? { containerConcurrency: 1 } : {}),
      ...(spec.timeoutSeconds === undefined ? {} : { timeoutSeconds: spec.timeoutSeconds }),
    },
  };
}

/** Labels that the Function wants on its Pods; validation has seen them. */
function podLabels(annotations: Record<string, string> | undefined): Record<string, string> {
  const text = annotations?.[POD_LABELS_ANNOTATION];
  return text === undefined ? {} : JSON.parse(text);
}

const templateDigest = (template: RevisionTemplate) =>
  createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 16);

/** On a Service: how many revisions without traffic serving keeps. */
const RETAIN_ANNOTATION = 'petrel.dev/retain-revisions';
/** On the owned Service: which of its annotations the Function asked for, so that those it no longer asks for go. */
const MANAGED_ANNOTATION = 'petrel.dev/managed-annotations';

/** What the Function says of its Service as a whole: it holds at once, for all revisions. */
function serviceAnnotations({ spec }: PetrelFunction): Record<string, string> {
  return {
    ...provisionedAnnotations(spec.provisioned),
    ...(spec.access && { [SERVICE_ANNOTATIONS.access]: JSON.stringify(spec.access) }),
    ...(spec.sticky && { [SERVICE_ANNOTATIONS.sticky]: JSON.stringify(spec.sticky) }),
    ...(spec.retainRevisions === undefined ? {} : { [RETAIN_ANNOTATION]: String(spec.retainRevisions) }),
  };
}

/** The annotations of a Service with those that its Function asks for now, and without those that it asked for before. */
function withManaged(
  annotations: Record<string, string>,
  wanted: Record<string, string>,
): Record<string, string> {
  const { [MANAGED_ANNOTATION]: before, ...rest } = annotations;
  for (const key of before?.split(' ') ?? []) delete rest[key];
  const keys = Object.keys(wanted).sort();
  return { ...rest, ...wanted, ...(keys.length > 0 ? { [MANAGED_ANNOTATION]: keys.join(' ') } : {}) };
}

/** A new Service for a Function; `digest` is the package that instances load, absent for an image. */
export function serviceOf(fn: PetrelFunction, digest: Digest | undefined): Service {
  const template = templateOf(fn, digest);
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: {
      name: fn.metadata.name,
      namespace: fn.metadata.namespace,
      labels: { ...fn.metadata.labels, [FUNCTION_LABELS.function]: fn.metadata.name },
      annotations: withManaged({ [TEMPLATE_ANNOTATION]: templateDigest(template) }, serviceAnnotations(fn)),
      ownerReferences: [
        {
          apiVersion: fn.apiVersion,
          kind: fn.kind,
          name: fn.metadata.name,
          uid: fn.metadata.uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: { template },
  };
}

/** Everything in `wanted` is in `found`; what defaulting has added there does not matter. */
function contains(found: unknown, wanted: unknown): boolean {
  if (wanted === null || typeof wanted !== 'object') return Object.is(found, wanted);
  if (found === null || typeof found !== 'object') return false;
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(found) &&
      found.length === wanted.length &&
      wanted.every((value, i) => contains(found[i], value))
    );
  }
  return Object.entries(wanted).every(
    ([key, value]) => value === undefined || contains((found as Record<string, unknown>)[key], value),
  );
}

/** The Service brought in line with its Function, or undefined when it is. Traffic is the user's and stays. */
export function alignedService(
  fn: PetrelFunction,
  digest: Digest | undefined,
  service: Service,
): Service | undefined {
  const template = templateOf(fn, digest);
  const wanted = templateDigest(template);
  const known = service.metadata.annotations ?? {};
  const annotations = withManaged({ ...known, [TEMPLATE_ANNOTATION]: wanted }, serviceAnnotations(fn));
  const same = known[TEMPLATE_ANNOTATION] === wanted && contains(service.spec.template, template);
  if (same && isDeepStrictEqual(annotations, known)) return undefined;
  return {
    ...service,
    metadata: { ...service.metadata, annotations },
    // What defaulting has added to a template is no reason for another revision.
    spec: same ? service.spec : { ...service.spec, template },
  };
}

/** Whether a Service belongs to this very Function. */
export function owns(fn: PetrelFunction, service: Service): boolean {
  return (service.metadata.ownerReferences ?? []).some(
    (owner) => owner.controller && owner.uid === fn.metadata.uid,
  );
}

/** What stands between a Function and being ready. */
export interface Problem {
  reason: string;
  message: string;
}

/** One condition of a Function, if it has it. */
const conditionOf = ({ status }: PetrelFunction, type: string): Condition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);

/** The Ready condition of an object, if it has one. */
export function readyOf(
  object: { status?: { conditions?: Condition[] } } | undefined,
): Condition | undefined {
  return object?.status?.conditions?.find(({ type }) => type === 'Ready');
}

/** Status of a Function that has not come to have a Service of its own. Revisions of before go on serving. */
export function problemStatus(fn: PetrelFunction, problem: Problem, now: number): FunctionStatus {
  return { ...fn.status, ...withReady(fn, { type: 'Ready', status: 'False', ...problem }, now) };
}

/** Status of a Function whose build is under way or has failed. Revisions of before go on serving. */
export function buildingStatus(fn: PetrelFunction, now: number): FunctionStatus {
  const { status, reason = 'Building', message = '' } = conditionOf(fn, BUILD_CONDITION) ?? {};
  const ready: Condition = {
    type: 'Ready',
    status: status === 'False' ? 'False' : 'Unknown',
    reason,
    message,
  };
  return { ...fn.status, ...withReady(fn, ready, now) };
}

/**
 * Status of a Function that mirrors its Service. `latest` is the newest revision when the Service is not ready: its own words say
 * what is wrong with the code.
 */
export function mirroredStatus(
  fn: PetrelFunction,
  service: Service,
  latest: Revision | undefined,
  now: number,
): FunctionStatus {
  const { status = {}, metadata } = service;
  const current = (status.observedGeneration ?? 0) >= (metadata.generation ?? 1);
  const found = readyOf(service);
  let ready: Condition = {
    type: 'Ready',
    status: 'Unknown',
    reason: 'Deploying',
    message: 'The revision is being made.',
  };
  if (current && found !== undefined) {
    const newest = found.status === 'True' ? undefined : readyOf(latest);
    const said = newest?.status === 'False' ? newest : found;
    // While the newest revision has not said whether it can, that none before it could is nothing final.
    const pending =
      found.status === 'False' &&
      latest !== undefined &&
      newest?.status !== 'False' &&
      newest?.status !== 'True';
    ready = { type: 'Ready', status: pending ? 'Unknown' : found.status };
    if (said.reason) ready.reason = said.reason;
    if (said.message) ready.message = said.message;
  }
  return {
    ...withReady(fn, ready, now),
    ...(fn.status?.build ? { build: fn.status.build } : {}),
    ...(status.url ? { url: status.url } : {}),
    ...(status.latestCreatedRevisionName
      ? { latestCreatedRevisionName: status.latestCreatedRevisionName }
      : {}),
    ...(status.latestReadyRevisionName ? { latestReadyRevisionName: status.latestReadyRevisionName } : {}),
  };
}

function withReady(fn: PetrelFunction, ready: Condition, now: number): FunctionStatus {
  return {
    observedGeneration: fn.metadata.generation ?? 1,
    conditions: withCondition(fn.status?.conditions, ready, now),
  };
}
