/** What the translations of functions have in common: names, labels, variables, files, times, instances. Pure. */
import { createHash } from 'node:crypto';
import type { Digest } from '../../kinds/function.ts';
import type { KubeObject, OwnerReference } from '../../kinds/object.ts';
import type { EnvVar, Volume, VolumeMount } from '../../kinds/pod.ts';
import { parseQuantity } from '../../kinds/quantity.ts';
import {
  type Environment,
  executorOf,
  type FileRef,
  type FissionFunctionSpec,
  type HpaMetric,
} from './model.ts';

/** On what stands for a Fission object: digest of what the translation asked for, so that nothing is written twice. */
const TRANSLATED_ANNOTATION = 'petrel.dev/translated';

/** What Fission takes where a field is empty. Seconds, instances, requests. */
const DEFAULTS = { functionTimeout: 60, concurrency: 500, requestsPerPod: 1 } as const;
/** Bounds that a Knative revision has. */
export const MAX = { timeout: 600, concurrency: 1000, window: 3600 } as const;

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
export function podLabels({ object, spec, functionName, functionUid }: Subject): Record<string, string> {
  const namespace = object.metadata.namespace ?? 'default';
  return {
    functionName,
    functionNamespace: namespace,
    functionUid,
    executorType: executorOf(spec),
    'fission.io/managed-by': 'fission',
    'fission.io/served': 'true',
    managed: 'false',
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

export const envNamed = (list: readonly EnvVar[] | undefined | null): Map<string, EnvVar> =>
  new Map((list ?? []).map((variable) => [variable.name, variable]));

/** The environment's variables with the function's over them. */
export function envOf(environment: Environment, spec: FissionFunctionSpec): EnvVar[] {
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
export function filesOf(
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

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value));

/** Seconds that a request may take; a stream is not bound by the function's own limit. */
export function timeoutOf({ functionTimeout, streaming }: FissionFunctionSpec): number {
  if (streaming) return clamp(streaming.maxDurationSeconds || MAX.timeout, 1, MAX.timeout);
  return clamp(functionTimeout || DEFAULTS.functionTimeout, 1, MAX.timeout);
}

export const concurrencyOf = ({ requestsPerPod }: FissionFunctionSpec): number =>
  clamp(requestsPerPod || DEFAULTS.requestsPerPod, 1, MAX.concurrency);

/** What a metric of CPU or memory asks for, as annotations of a Knative template; undefined: there is none that can be gone by. */
export function cpuOrMemory(
  metrics: readonly HpaMetric[] | null | undefined,
): { metric: string; target: string } | undefined {
  for (const { type, resource } of metrics ?? []) {
    const { averageUtilization, averageValue } = resource?.target ?? {};
    if (type !== 'Resource') continue;
    if (resource?.name === 'cpu' && averageUtilization)
      return { metric: 'cpu', target: String(averageUtilization) };
    const bytes = resource?.name === 'memory' && averageValue ? parseQuantity(averageValue) : 0;
    if (bytes > 0) return { metric: 'memory', target: String(Math.max(1, Math.round(bytes / 1024 ** 2))) };
  }
  return undefined;
}

/** How many instances, and when idle ones go: as annotations of a Knative template. */
export function scalingOf(spec: FissionFunctionSpec): {
  scale: { min?: number; max?: number };
  annotations: Record<string, string>;
} {
  const {
    MinScale = 0,
    MaxScale = 0,
    TargetCPUPercent = 0,
    hpaMetrics,
  } = spec.InvokeStrategy?.ExecutionStrategy ?? {};
  const pooled = executorOf(spec) === 'poolmgr';
  const annotations: Record<string, string> = {};
  const idle = spec.idletimeout;
  if (pooled && idle !== undefined && idle !== null && idle > 0) {
    const [key, seconds] =
      idle < 60 ? ['window', Math.max(6, idle)] : ['scale-to-zero-pod-retention-period', idle];
    annotations[`autoscaling.knative.dev/${key}`] = `${Math.min(MAX.window, seconds)}s`;
  }
  // Fission's command writes the metric where it wrote the percentage before.
  const by =
    TargetCPUPercent > 0 ? { metric: 'cpu', target: String(TargetCPUPercent) } : cpuOrMemory(hpaMetrics);
  if (!pooled && by !== undefined) {
    annotations['autoscaling.knative.dev/class'] = 'hpa.autoscaling.knative.dev';
    annotations['autoscaling.knative.dev/metric'] = by.metric;
    annotations['autoscaling.knative.dev/target'] = by.target;
  }
  const max = pooled ? spec.concurrency || DEFAULTS.concurrency : MaxScale;
  const min = pooled ? Math.min(spec.retainPods ?? 0, max) : MinScale;
  return { scale: { ...(min > 0 ? { min } : {}), ...(max > 0 ? { max } : {}) }, annotations };
}

/** A version has an instance when somebody calls it: its code was served before, under its function's own name. */
export function restingOf({ object, spec }: Subject): Record<string, string> {
  const rests = object.kind === 'FunctionVersion' && scalingOf(spec).scale.min === undefined;
  return rests ? { 'autoscaling.knative.dev/initial-scale': '0' } : {};
}

/** Name of what stands for a Fission object: its own, or where that cannot be a host name's part, one made from it. */
export function translatedName(name: string): string {
  if (/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name) && name.length <= 52) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `fn-${name.slice(0, 40).replace(/-+$/, '')}-${hash}`;
}

export function marked<T extends KubeObject>(object: T): T {
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

export function metadataOf(subject: Subject, annotations: Record<string, string>): KubeObject['metadata'] {
  const { name, namespace } = subject.object.metadata;
  return {
    name: translatedName(name),
    namespace: namespace ?? 'default',
    labels: labelsOf(subject),
    annotations,
    ownerReferences: [ownerOf(subject.object)],
  };
}
