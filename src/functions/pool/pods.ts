/** The Pods that pools make, as objects; and reading a revision as something that can be loaded into one. Pure. */
import {
  CODE_ANNOTATIONS,
  type Digest,
  FUNCTION_LABELS,
  RUNTIME_IMAGE_PREFIX,
  type Runtime,
} from '../../kinds/function.ts';
import type { OwnerReference } from '../../kinds/object.ts';
import { type Container, NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import type { Revision } from '../../kinds/serving.ts';
import { resourcesOf, resourcesPatch } from './memory.ts';

/** Name of the container that runs user code, as in Knative. */
export const USER_CONTAINER = 'user-container';
/** On a specialised Pod: where it takes requests, `mux` or `http1:<port>`; read when a Pod is adopted. */
export const ADDRESS_ANNOTATION = 'petrel.dev/address';

/** Tells an instance to start so that a debugger gets in. */
const DEBUG_PORT_VARIABLE = 'PETREL_DEBUG_PORT';

/** Labels of a revision that are about serving it, not about its Pods. */
const SERVING_PREFIX = 'serving.knative.dev/';
const SERVING_LABELS = ['serving.knative.dev/service', 'serving.knative.dev/configuration'] as const;
const REVISION_LABEL = 'serving.knative.dev/revision';

/** What a revision asks to be loaded. */
export interface Code {
  runtime: string;
  digest: Digest;
  entry?: string;
  handler?: string;
  shape?: string;
  debugPort?: number;
  /** Keyspace of its state. */
  state?: string;
  /** What its instances are forked from, where somebody has decided. */
  zygote?: string;
}

/** Reads the code annotations; undefined when the revision is no function. */
export function codeOf(revision: Revision): Code | undefined {
  const annotations = revision.metadata.annotations ?? {};
  const digest = annotations[CODE_ANNOTATIONS.package];
  const runtime = annotations[CODE_ANNOTATIONS.runtime];
  if (digest === undefined || runtime === undefined) return undefined;
  const { entry, handler, shape, debugPort, state, zygote } = CODE_ANNOTATIONS;
  return {
    runtime,
    digest: digest as Digest,
    ...(annotations[entry] === undefined ? {} : { entry: annotations[entry] }),
    ...(annotations[handler] === undefined ? {} : { handler: annotations[handler] }),
    ...(annotations[shape] === undefined ? {} : { shape: annotations[shape] }),
    ...(annotations[debugPort] === undefined ? {} : { debugPort: Number(annotations[debugPort]) }),
    ...(annotations[state] === undefined ? {} : { state: annotations[state] }),
    ...(annotations[zygote] === undefined ? {} : { zygote: annotations[zygote] }),
  };
}

/** Name of the function (and Knative Service) that a revision belongs to. */
export function functionOf(revision: Revision): string {
  const labels = revision.metadata.labels ?? {};
  return labels[FUNCTION_LABELS.function] ?? labels[SERVING_LABELS[0]] ?? revision.metadata.name;
}

/**
 * Name of the directory in which code caches of one package for one version of a language are kept. Instances write there what others
 * will run, so no namespace shares with another.
 */
export function codeCacheOf(revision: Revision, language: string): string | undefined {
  const code = codeOf(revision);
  const namespace = revision.metadata.namespace ?? 'default';
  return (
    code && `${namespace}_${code.digest.slice('sha256:'.length)}-${language.replace(/[^A-Za-z0-9._-]/g, '_')}`
  );
}

/** The container with the user's settings. */
export function userContainer(revision: Revision): Container {
  return revision.spec.containers[0] ?? { name: USER_CONTAINER };
}

/** The port that an instance has to be started with, so that a debugger gets in. */
function startedFor(revision: Revision, runtime: Runtime | undefined): number | undefined {
  return runtime?.spec.debugger?.atStart ? codeOf(revision)?.debugPort : undefined;
}

/** Whether a revision needs something that a process already running cannot be given; limits neither, where others are in it. */
export function needsOwnPod(revision: Revision, runtime?: Runtime): boolean {
  const { volumeMounts, command, resources } = userContainer(revision);
  const shared = runtime?.spec.share !== undefined;
  const has = (value: object | undefined) => value !== undefined && Object.keys(value).length > 0;
  return (
    startedFor(revision, runtime) !== undefined ||
    has(volumeMounts) ||
    has(command) ||
    (shared && has(resources)) ||
    revision.spec.containers.length > 1 ||
    has(revision.spec.initContainers) ||
    revision.spec.runtimeClassName !== undefined ||
    codeOf(revision)?.zygote === 'off'
  );
}

/** Whether what its code meets is different in each Pod, so that no other instance could take it over. */
export function variesByPod(revision: Revision): boolean {
  const { env = [] } = userContainer(revision);
  return (
    needsOwnPod(revision) ||
    codeOf(revision)?.debugPort !== undefined ||
    env.some(({ valueFrom }) => valueFrom?.fieldRef !== undefined)
  );
}

const runtimeOwner = (runtime: Runtime): OwnerReference => ({
  apiVersion: runtime.apiVersion,
  kind: runtime.kind,
  name: runtime.metadata.name,
  uid: runtime.metadata.uid ?? '',
  controller: true,
});

const revisionOwner = (revision: Revision): OwnerReference => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  name: revision.metadata.name,
  uid: revision.metadata.uid ?? '',
  controller: true,
});

/** A generic instance: nothing of anybody's in it. What runs is for the node to read from the Runtime that the image names. */
export function genericPod(runtime: Runtime, namespace: string, name: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { [FUNCTION_LABELS.runtime]: runtime.metadata.name, [FUNCTION_LABELS.pool]: 'generic' },
      ownerReferences: [runtimeOwner(runtime)],
    },
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      containers: [{ name: USER_CONTAINER, image: RUNTIME_IMAGE_PREFIX + runtime.metadata.name }],
    },
  };
}

/** Labels and annotations of a Pod that belongs to a revision. */
function revisionMetadata(revision: Revision) {
  const own = Object.entries(revision.metadata.labels ?? {}).filter(
    ([name]) => !name.startsWith(SERVING_PREFIX),
  );
  const labels: Record<string, string> = {
    ...Object.fromEntries(own),
    [FUNCTION_LABELS.pool]: 'specialised',
    [FUNCTION_LABELS.function]: functionOf(revision),
    [REVISION_LABEL]: revision.metadata.name,
  };
  for (const name of SERVING_LABELS) {
    const value = revision.metadata.labels?.[name];
    if (value !== undefined) labels[name] = value;
  }
  return labels;
}

/** A Pod made for one revision from the start: its volumes and resources, the runtime's command. */
export function dedicatedPod(runtime: Runtime, revision: Revision, name: string): Pod {
  const generic = genericPod(runtime, revision.metadata.namespace ?? 'default', name);
  const { containers, volumes, runtimeClassName, serviceAccountName, initContainers } = revision.spec;
  const user = userContainer(revision);
  const port = startedFor(revision, runtime);
  const container: Container = {
    ...(generic.spec.containers[0] as Container),
    ...(port === undefined ? {} : { env: [{ name: DEBUG_PORT_VARIABLE, value: String(port) }] }),
    ...(user.resources ? { resources: user.resources } : {}),
    ...(user.volumeMounts ? { volumeMounts: user.volumeMounts } : {}),
  };
  return {
    ...generic,
    metadata: {
      ...generic.metadata,
      labels: { ...generic.metadata.labels, ...revisionMetadata(revision) },
      ownerReferences: [revisionOwner(revision)],
      ...(codeOf(revision)?.zygote === 'off' ? { annotations: { [NODE_ANNOTATIONS.zygote]: 'off' } } : {}),
    },
    spec: {
      ...generic.spec,
      containers: [container, ...containers.slice(1)],
      ...(volumes ? { volumes } : {}),
      ...(initContainers ? { initContainers } : {}),
      ...(runtimeClassName ? { runtimeClassName } : {}),
      ...(serviceAccountName ? { serviceAccountName } : {}),
    },
  };
}

/** A Pod for one revision that is to be made; `memory` is the limit of functions without one. */
export interface RevisionPod {
  runtime: Runtime;
  revision: Revision;
  name: string;
  memory: string | undefined;
}

/** A generic instance that is there for one revision, with its limits from the start. */
function revisionPod({ runtime, revision, name, memory }: RevisionPod, part: string, role: string): Pod {
  const generic = genericPod(runtime, revision.metadata.namespace ?? 'default', name);
  return {
    ...generic,
    metadata: {
      ...generic.metadata,
      labels: { ...generic.metadata.labels, [FUNCTION_LABELS.pool]: part },
      annotations: {
        ...limitsPatch(revision, memory)?.metadata.annotations,
        [NODE_ANNOTATIONS.zygoteRole]: role,
      },
      ownerReferences: [revisionOwner(revision)],
    },
  };
}

/** The Pod of a process that loads a revision's code for those that are forked from it. It is not started again when it ends. */
export function zygotePod(wanted: RevisionPod, codeCache: string | undefined): Pod {
  const pod = revisionPod(wanted, 'zygote', 'parent');
  if (codeCache !== undefined)
    Object.assign(pod.metadata.annotations ?? {}, { [NODE_ANNOTATIONS.codeCache]: codeCache });
  return { ...pod, spec: { ...pod.spec, restartPolicy: 'Never' } };
}

/** An instance that is to be forked from the process of a Pod (uid) that has loaded the revision's code, and stands by. */
export const standbyPod = (wanted: RevisionPod, of: string): Pod =>
  revisionPod(wanted, 'standby', `child-of:${of}`);

/** Merge patch by which a Pod from a pool gets the revision's limits, or those of functions without; undefined: it has none. */
export const limitsPatch = (revision: Revision, memory?: string) =>
  resourcesPatch(resourcesOf(userContainer(revision), memory));

/** Merge patch that makes a Pod say whose it has become. */
export function specialisedPatch(
  revision: Revision,
  address: string,
  codeCache: string | undefined,
  memory: string | undefined,
) {
  const annotations: Record<string, string> = { [ADDRESS_ANNOTATION]: address };
  if (codeCache !== undefined) annotations[NODE_ANNOTATIONS.codeCache] = codeCache;
  Object.assign(annotations, limitsPatch(revision, memory)?.metadata.annotations);
  for (const key of Object.values(CODE_ANNOTATIONS)) {
    const value = revision.metadata.annotations?.[key];
    if (value !== undefined) annotations[key] = value;
  }
  return {
    metadata: {
      labels: revisionMetadata(revision),
      annotations,
      ownerReferences: [{ ...revisionOwner(revision) }],
    },
  };
}

/** The revision a Pod belongs to by its labels, `<namespace>/<name>`. */
export function revisionKeyOfPod(pod: Pod): string | undefined {
  const name = pod.metadata.labels?.[REVISION_LABEL];
  return name === undefined ? undefined : `${pod.metadata.namespace}/${name}`;
}

const FATAL_WAITING = new Set([
  'CrashLoopBackOff',
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'CreateContainerError',
  'CreateContainerConfigError',
  'RunContainerError',
]);

/** Why a Pod that should come up will not, in words; undefined while there is hope. */
export function startProblem(pod: Pod): string | undefined {
  const status = pod.status?.containerStatuses?.[0];
  const ended = status?.state.terminated ?? status?.lastState.terminated;
  const said = [status?.state.waiting?.message, ended?.message].find(
    (text) => text !== undefined && text !== '',
  );
  if (pod.status?.phase === 'Failed') return said ?? pod.status.message ?? 'the Pod failed';
  const reason = status?.state.waiting?.reason;
  if (reason !== undefined && FATAL_WAITING.has(reason)) {
    return said ?? (ended ? `it ended with exit code ${ended.exitCode}` : reason);
  }
  return undefined;
}
