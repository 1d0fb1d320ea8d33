/** Fission's objects as far as they are translated. Field names and meanings are Fission's; times are as it writes them. */
import type { Condition, KubeObject } from '../../kinds/object.ts';
import type { EnvFromSource, EnvVar, PodSpec, ResourceRequirements } from '../../kinds/pod.ts';
import type { ResourceRef } from '../../kube/client.ts';

const ref = (kind: string, plural: string): ResourceRef => ({
  group: 'fission.io',
  version: 'v1',
  plural,
  kind,
  namespaced: true,
});

export const FISSION = {
  functions: ref('Function', 'functions'),
  environments: ref('Environment', 'environments'),
  packages: ref('Package', 'packages'),
  httpTriggers: ref('HTTPTrigger', 'httptriggers'),
  timeTriggers: ref('TimeTrigger', 'timetriggers'),
  watchTriggers: ref('KubernetesWatchTrigger', 'kuberneteswatchtriggers'),
  queueTriggers: ref('MessageQueueTrigger', 'messagequeuetriggers'),
  canaries: ref('CanaryConfig', 'canaryconfigs'),
  versions: ref('FunctionVersion', 'functionversions'),
  aliases: ref('FunctionAlias', 'functionaliases'),
} as const;

export interface ObservedStatus {
  observedGeneration?: number;
  conditions?: Condition[];
}
export interface Observed extends KubeObject {
  status?: ObservedStatus;
}

export interface NameRef {
  namespace?: string;
  name?: string;
}

export interface FileRef {
  namespace?: string;
  name: string;
  mountPath?: string;
}

/** Of Kubernetes' HorizontalPodAutoscaler, version 2. */
export interface HpaMetric {
  type?: string;
  resource?: { name?: string; target?: { averageUtilization?: number; averageValue?: string } };
}

export interface FissionFunctionSpec {
  environment?: NameRef;
  package?: { packageref?: NameRef & { resourceversion?: string }; functionName?: string };
  secrets?: FileRef[] | null;
  configmaps?: FileRef[] | null;
  env?: EnvVar[] | null;
  envFrom?: EnvFromSource[] | null;
  resources?: ResourceRequirements;
  InvokeStrategy?: {
    StrategyType?: string;
    ExecutionStrategy?: {
      ExecutorType?: string;
      MinScale?: number;
      MaxScale?: number;
      TargetCPUPercent?: number;
      SpecializationTimeout?: number;
      hpaMetrics?: HpaMetric[] | null;
    };
  };
  functionTimeout?: number;
  idletimeout?: number;
  streaming?: { protocol?: string; idleTimeoutSeconds?: number; maxDurationSeconds?: number };
  tool?: { description?: string; inputSchema?: Record<string, unknown>; toolName?: string; alias?: string };
  state?: {
    keyspace?: string;
    defaultTTL?: string;
    maxValueBytes?: number;
    maxKeys?: number;
    sticky?: { source: string; name: string };
  };
  invocation?: {
    retry?: { maxAttempts?: number; backoffBase?: string; backoffCap?: string; jitter?: boolean };
    maxAge?: string;
    onSuccess?: Destination;
    onFailure?: Destination;
  };
  concurrency?: number;
  requestsPerPod?: number;
  onceOnly?: boolean;
  retainPods?: number;
  provisionedConcurrency?: {
    target: number;
    windows?: { name: string; start: string; duration: string; target: number }[];
  };
  versioning?: { mode?: string; retain?: number };
  podspec?: PodSpec;
}
export interface Destination {
  function?: { name?: string };
  topic?: { messageQueueType: string; topic: string };
}
export interface FissionFunction extends Observed {
  spec: FissionFunctionSpec;
}

export interface Environment extends Observed {
  spec: {
    version: number;
    runtime: { image: string; container?: { env?: EnvVar[] }; podspec?: PodSpec };
    builder?: { image?: string; command?: string };
    resources?: ResourceRequirements;
    keeparchive?: boolean;
    /** Name of a Secret. */
    imagepullsecret?: string;
  };
}

export interface Archive {
  type?: string;
  literal?: string;
  url?: string;
  checksum?: { type?: string; sum?: string };
  oci?: { image: string; digest?: string; subPath?: string; imagePullSecrets?: { name?: string }[] | null };
  secretref?: { name?: string };
}
export interface Package extends KubeObject {
  spec: { environment?: NameRef; source?: Archive; deployment?: Archive; buildcmd?: string };
  status?: ObservedStatus & {
    buildstatus?: string;
    buildlog?: string;
    contentHash?: string;
    lastUpdateTimestamp?: string | null;
  };
}

export interface FunctionReference {
  type?: string;
  name?: string;
  alias?: string;
  version?: string;
  functionweights?: Record<string, number> | null;
}

export interface HttpTrigger extends Observed {
  spec: {
    host?: string;
    relativeurl?: string;
    prefix?: string;
    keepPrefix?: boolean;
    method?: string;
    methods?: string[];
    invocationMode?: string;
    functionref: FunctionReference;
    corsConfig?: {
      allowOrigins?: string[];
      allowMethods?: string[];
      allowHeaders?: string[];
      exposeHeaders?: string[];
      allowCredentials?: boolean;
      maxAge?: string;
    };
  };
}
export interface TimeTrigger extends Observed {
  spec: { cron: string; functionref: FunctionReference; method?: string; subpath?: string };
}
export interface WatchTrigger extends Observed {
  spec: {
    namespace?: string;
    type: string;
    labelselector?: Record<string, string>;
    functionref: FunctionReference;
  };
}
export interface QueueTrigger extends Observed {
  spec: {
    topic: string;
    messageQueueType?: string;
    functionref: FunctionReference;
    respTopic?: string;
    errorTopic?: string;
    maxRetries?: number | string;
    /** Of what the function is sent. */
    contentType?: string;
    /** Of KEDA's scaler. */
    metadata?: Record<string, string>;
    /** Name of a Secret with KEDA's parameters of authentication. */
    secret?: string;
  };
}
export interface CanaryConfig extends KubeObject {
  spec: {
    trigger: string;
    newfunction: string;
    oldfunction: string;
    weightincrement?: number;
    duration?: string;
    failurethreshold?: number;
  };
  status?: ObservedStatus & { status?: string };
}

export interface FunctionVersion extends KubeObject {
  spec: {
    functionName: string;
    functionUID?: string;
    functionGeneration?: number;
    sequence: number;
    snapshot: FissionFunctionSpec;
    packageDigest: string;
    envObservedGeneration?: number;
    envRuntimeImage?: string;
    publishedAt?: string;
  };
}
export interface FunctionAlias extends KubeObject {
  spec: {
    functionName: string;
    version?: string;
    packageDigest?: string;
    weight?: number;
    secondaryVersion?: string;
  };
  status?: ObservedStatus & {
    resolvedVersion?: string;
    history?: { version: string; packageDigest?: string; switchedAt: string }[];
  };
}

/** What an object cannot be translated for, in words its user can act on. */
export interface Problem {
  reason: string;
  message: string;
}

export const isProblem = (value: object): value is Problem => 'reason' in value && 'message' in value;

/** The executor of a function. */
export const executorOf = (spec: FissionFunctionSpec): string =>
  spec.InvokeStrategy?.ExecutionStrategy?.ExecutorType || 'poolmgr';
