/** A Fission function as the Petrel Function, or the Knative Service, that answers for it. Pure. */
import { createHash } from 'node:crypto';
import type {
  Digest,
  FunctionBuild,
  FunctionInvocation,
  FunctionProvisioned,
  FunctionSpec,
  PetrelFunction,
} from '../../kinds/function.ts';
import { POD_LABELS_ANNOTATION } from '../../kinds/function.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import type { KubeObject, OwnerReference } from '../../kinds/object.ts';
import type { EnvVar, Volume, VolumeMount } from '../../kinds/pod.ts';
import type { Service } from '../../kinds/serving.ts';
import type { Language } from './languages.ts';
import {
  type Destination,
  type Environment,
  executorOf,
  type FileRef,
  type FissionFunctionSpec,
} from './model.ts';

/** On what stands for a Fission object: digest of what the translation asked for, so that nothing is written twice. */
const TRANSLATED_ANNOTATION = 'petrel.dev/translated';

/** What Fission takes where a field is empty. Seconds, instances, requests. */
const DEFAULTS = { functionTimeout: 60, concurrency: 500, requestsPerPod: 1, streamIdle: 60 } as const;
/** Bounds that a Knative revision has. */
const MAX = { timeout: 600, concurrency: 1000, window: 3600 } as const;

/** What is translated: a Function, or the snapshot that a FunctionVersion holds of one. */
export interface Subject {
  object: KubeObject;
  spec: FissionFunctionSpec;
  /** The function's own name, also for its versions. */
  functionName: string;
  /** Its Function's uid, also for its versions. */
  functionUid: string;
}

/** The code of a function, in the package store. */
export interface Code {
  digest: Digest;
  /** Name of the file when the package is one bare file. */
  single?: string;
  /** It has to be built first. */
  source: boolean;
  buildCommand?: string;
  has(file: string): boolean;
}

/** Labels by which Fission's clients find a function's Pods. */
function podLabels({ object, spec, functionName, functionUid }: Subject): Record<string, string> {
  const namespace = object.metadata.namespace ?? 'default';
  return {
    functionName,
    functionNamespace: namespace,
    functionUid,
    executorType: executorOf(spec),
    'fission.io/managed-by': 'fission',
    ...(spec.environment?.name
      ? {
          environmentName: spec.environment.name,
          environmentNamespace: spec.environment.namespace || namespace,
        }
      : {}),
    ...(object.kind === 'FunctionVersion' ? { 'fission.io/function-version': object.metadata.name } : {}),
  };
}

const ownerOf = ({ apiVersion, kind, metadata }: KubeObject): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid ?? '',
  controller: true,
  blockOwnerDeletion: true,
});

/** Labels of one's own on a Function stay with what stands for it. */
const labelsOf = (subject: Subject): Record<string, string> => ({
  ...subject.object.metadata.labels,
  'fission.io/function': subject.functionName,
});

const envNamed = (list: readonly EnvVar[] | undefined | null): Map<string, EnvVar> =>
  new Map((list ?? []).map((variable) => [variable.name, variable]));

/** The environment's variables with the function's over them. */
function envOf(environment: Environment, spec: FissionFunctionSpec): EnvVar[] {
  const { container, podspec } = environment.spec.runtime;
  return [
    ...envNamed([
      ...(container?.env ?? []),
      ...(podspec?.containers?.[0]?.env ?? []),
      ...(spec.env ?? []),
    ]).values(),
  ];
}

/** Secrets at `/secrets/<namespace>/<name>`, ConfigMaps at `/configs/<namespace>/<name>`. */
function filesOf(
  spec: FissionFunctionSpec,
  namespace: string,
): { volumes: Volume[]; volumeMounts: VolumeMount[] } {
  const volumes: Volume[] = [];
  const volumeMounts: VolumeMount[] = [];
  const add = (
    root: string,
    list: FileRef[] | undefined | null,
    source: (name: string) => Partial<Volume>,
  ) => {
    for (const [index, { name, namespace: of, mountPath }] of (list ?? []).entries()) {
      const volume = `${root}-${index}`;
      volumes.push({ name: volume, ...source(name) });
      volumeMounts.push({
        name: volume,
        mountPath: `/${root}/${mountPath || `${of || namespace}/${name}`}`,
        readOnly: true,
      });
    }
  };
  add('secrets', spec.secrets, (secretName) => ({ secret: { secretName } }));
  add('configs', spec.configmaps, (name) => ({ configMap: { name } }));
  return { volumes, volumeMounts };
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Seconds that a request may take; a stream is not bound by the function's own limit. */
function timeoutOf({ functionTimeout, streaming }: FissionFunctionSpec): number {
  if (streaming) return clamp(streaming.maxDurationSeconds || MAX.timeout, 1, MAX.timeout);
  return clamp(functionTimeout || DEFAULTS.functionTimeout, 1, MAX.timeout);
}

/** How many instances, and when idle ones go: as annotations of a Knative template. */
function scalingOf(spec: FissionFunctionSpec): {
  scale: { min?: number; max?: number };
  annotations: Record<string, string>;
} {
  const { MinScale = 0, MaxScale = 0, TargetCPUPercent = 0 } = spec.InvokeStrategy?.ExecutionStrategy ?? {};
  const pooled = executorOf(spec) === 'poolmgr';
  const annotations: Record<string, string> = {};
  const idle = spec.idletimeout;
  if (pooled && idle !== undefined && idle !== null && idle > 0) {
    const [key, seconds] =
      idle < 60 ? ['window', Math.max(6, idle)] : ['scale-to-zero-pod-retention-period', idle];
    annotations[`autoscaling.knative.dev/${key}`] = `${Math.min(MAX.window, seconds)}s`;
  }
  if (!pooled && TargetCPUPercent > 0) {
    annotations['autoscaling.knative.dev/class'] = 'hpa.autoscaling.knative.dev';
    annotations['autoscaling.knative.dev/metric'] = 'cpu';
    annotations['autoscaling.knative.dev/target'] = String(TargetCPUPercent);
  }
  const max = pooled ? spec.concurrency || DEFAULTS.concurrency : MaxScale;
  const min = pooled ? Math.min(spec.retainPods ?? 0, max) : MinScale;
  return { scale: { ...(min > 0 ? { min } : {}), ...(max > 0 ? { max } : {}) }, annotations };
}

const secondsOf = (duration: string | undefined): number | undefined => {
  const ms = parseGoDuration(duration);
  return ms === undefined ? undefined : ms / 1000;
};

/** Fields that are there, without those that are undefined. */
function given<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

const destinationOf = (destination: Destination | undefined) =>
  destination?.function?.name ? { function: destination.function.name } : undefined;

function invocationOf({ invocation }: FissionFunctionSpec): FunctionInvocation | undefined {
  if (!invocation) return undefined;
  const { retry = {}, maxAge, onSuccess, onFailure } = invocation;
  return given<FunctionInvocation>({
    maxAttempts: retry.maxAttempts,
    backoffSeconds: secondsOf(retry.backoffBase),
    backoffCapSeconds: secondsOf(retry.backoffCap),
    jitter: retry.jitter === false ? 0 : undefined,
    maxAgeSeconds: secondsOf(maxAge),
    onSuccess: destinationOf(onSuccess),
    onFailure: destinationOf(onFailure),
  });
}

const ZONE = /^(?:CRON_TZ|TZ)=(\S+)\s+(.*)$/;

/** A schedule's zone and its five fields. */
export function zoned(text: string): { cron: string; timeZone?: string } {
  const [, timeZone, cron] = ZONE.exec(text.trim()) ?? [];
  return timeZone === undefined || cron === undefined ? { cron: text.trim() } : { cron, timeZone };
}

function provisionedOf({ provisionedConcurrency }: FissionFunctionSpec): FunctionProvisioned | undefined {
  if (!provisionedConcurrency) return undefined;
  const { target, windows = [] } = provisionedConcurrency;
  return {
    target,
    ...(windows.length > 0
      ? {
          windows: windows.map((window) => ({
            name: window.name,
            ...zoned(window.start),
            durationSeconds: Math.max(1, Math.round(secondsOf(window.duration) ?? 0)),
            target: window.target,
          })),
        }
      : {}),
  };
}

/** Fission's commands read `SRC_PKG` and leave the result, a file or a folder, at `DEPLOY_PKG`. */
function buildOf(code: Code): FunctionBuild {
  if (!code.source) return { mode: 'never' };
  const command = code.buildCommand?.trim() ?? '';
  // The environments' own command stands for what the language does by itself.
  if (command === '' || /^(\/usr\/local\/bin\/|\/)?(build|defaultBuildCmd)$/.test(command))
    return { mode: 'auto' };
  return {
    mode: 'always',
    command: [
      'export SRC_PKG="$PWD" DEPLOY_PKG="$TMPDIR/deploy"',
      `( ${command} ) || exit $?`,
      'if [ -d "$DEPLOY_PKG" ]; then cp -a "$DEPLOY_PKG/." "$PETREL_OUTPUT/"; elif [ -e "$DEPLOY_PKG" ]; then cp -a "$DEPLOY_PKG" "$PETREL_OUTPUT/"; fi',
    ].join('\n'),
  };
}

function specOf(subject: Subject, environment: Environment, language: Language, code: Code): FunctionSpec {
  const { spec, object } = subject;
  const { state, tool, versioning } = spec;
  const { volumes, volumeMounts } = filesOf(spec, object.metadata.namespace ?? 'default');
  const env = envOf(environment, spec);
  const pooled = executorOf(spec) === 'poolmgr';
  const resources =
    spec.resources && Object.keys(spec.resources).length > 0 ? spec.resources : environment.spec.resources;
  const sticky = state?.sticky;
  return given<FunctionSpec>({
    runtime: language.runtime,
    package: { digest: code.digest },
    ...language.entryPoint(spec.package?.functionName ?? '', code.single, code.has),
    shape: language.shape as FunctionSpec['shape'],
    env: env.length > 0 ? env : undefined,
    envFrom: spec.envFrom && spec.envFrom.length > 0 ? spec.envFrom : undefined,
    volumes: volumes.length > 0 ? volumes : undefined,
    volumeMounts: volumes.length > 0 ? volumeMounts : undefined,
    resources: resources && Object.keys(resources).length > 0 ? resources : undefined,
    // A Deployment's instances take what comes; a pool's take as many requests as the function says.
    concurrency: pooled ? clamp(spec.requestsPerPod || DEFAULTS.requestsPerPod, 1, MAX.concurrency) : 0,
    scale: scalingOf(spec).scale,
    timeoutSeconds: timeoutOf(spec),
    build: buildOf(code),
    invocation: invocationOf(spec),
    provisioned: provisionedOf(spec),
    onceOnly: spec.onceOnly ? true : undefined,
    retainRevisions: versioning?.retain,
    sticky:
      sticky && (sticky.source === 'header' ? { header: sticky.name } : { queryParameter: sticky.name }),
    state:
      state &&
      given({
        keyspace: state.keyspace,
        defaultTtlSeconds: secondsOf(state.defaultTTL),
        maxValueBytes: state.maxValueBytes || undefined,
        maxKeys: state.maxKeys || undefined,
      }),
    tool: tool?.description
      ? given({
          description: tool.description,
          name: tool.toolName || `${object.metadata.namespace ?? 'default'}-${subject.functionName}`,
          inputSchema: tool.inputSchema,
        })
      : undefined,
  } as never);
}

/** Name of what stands for a Fission object: its own, or where that cannot be a host name's part, one made from it. */
export function translatedName(name: string): string {
  if (/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name) && name.length <= 52) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `fn-${name.slice(0, 40).replace(/-+$/, '')}-${hash}`;
}

function marked<T extends KubeObject>(object: T): T {
  const text = JSON.stringify(object);
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return {
    ...object,
    metadata: {
      ...object.metadata,
      annotations: { ...object.metadata.annotations, [TRANSLATED_ANNOTATION]: digest },
    },
  };
}

/** Whether what is there came from the same translation. */
export function upToDate(there: KubeObject, wanted: KubeObject): boolean {
  return (
    there.metadata.annotations?.[TRANSLATED_ANNOTATION] ===
    wanted.metadata.annotations?.[TRANSLATED_ANNOTATION]
  );
}

function metadataOf(subject: Subject, annotations: Record<string, string>): KubeObject['metadata'] {
  const { name, namespace } = subject.object.metadata;
  return {
    name: translatedName(name),
    namespace: namespace ?? 'default',
    labels: labelsOf(subject),
    annotations,
    ownerReferences: [ownerOf(subject.object)],
  };
}

/** For the executors `poolmgr` and `newdeploy`. */
export function petrelFunction(
  subject: Subject,
  environment: Environment,
  language: Language,
  code: Code,
): PetrelFunction {
  return marked<PetrelFunction>({
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: metadataOf(subject, {
      ...scalingOf(subject.spec).annotations,
      [POD_LABELS_ANNOTATION]: JSON.stringify(podLabels(subject)),
    }),
    spec: specOf(subject, environment, language, code),
  });
}

/** Fields of a pod spec that a Knative revision may have. */
const POD_FIELDS = [
  'volumes',
  'initContainers',
  'securityContext',
  'imagePullSecrets',
  'dnsConfig',
  'dnsPolicy',
  'hostAliases',
];
const CONTAINER_FIELDS = [
  'name',
  'image',
  'command',
  'args',
  'env',
  'envFrom',
  'ports',
  'resources',
  'volumeMounts',
  'workingDir',
  'readinessProbe',
  'livenessProbe',
  'startupProbe',
  'securityContext',
  'imagePullPolicy',
];

const pick = (from: object, fields: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(from).filter(([key]) => fields.includes(key)));

/** For the executor `container`: the first container answers, with the function's variables and files in it. */
export function containerService(subject: Subject): Service {
  const { spec, object } = subject;
  const { podspec } = spec;
  const { volumes, volumeMounts } = filesOf(spec, object.metadata.namespace ?? 'default');
  const { scale, annotations } = scalingOf(spec);
  const containers = (podspec?.containers ?? []).map((container, index) => {
    const own = pick(container, CONTAINER_FIELDS);
    if (index > 0) return own;
    const env = [...envNamed([...(container.env ?? []), ...(spec.env ?? [])]).values()];
    const envFrom = [...(container.envFrom ?? []), ...(spec.envFrom ?? [])];
    const mounts = [...(container.volumeMounts ?? []), ...volumeMounts];
    const ports = (container.ports ?? []).slice(0, 1).map(({ containerPort }) => ({ containerPort }));
    return {
      ...own,
      ...(env.length > 0 ? { env } : {}),
      ...(envFrom.length > 0 ? { envFrom } : {}),
      ...(mounts.length > 0 ? { volumeMounts: mounts } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    };
  });
  const all = [...(podspec?.volumes ?? []), ...volumes];
  return marked<Service>({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: metadataOf(subject, {}),
    spec: {
      template: {
        metadata: {
          labels: podLabels(subject),
          annotations: {
            ...annotations,
            ...(scale.min ? { 'autoscaling.knative.dev/min-scale': String(scale.min) } : {}),
            ...(scale.max ? { 'autoscaling.knative.dev/max-scale': String(scale.max) } : {}),
          },
        },
        spec: {
          ...pick(podspec ?? {}, POD_FIELDS),
          containers: containers as never,
          ...(all.length > 0 ? { volumes: all } : {}),
          timeoutSeconds: timeoutOf(spec),
        },
      },
    },
  });
}
