/** A build as Kubernetes objects: a Job, and a Secret with what its Pod must not show to everybody. Pure. */
import { createHash } from 'node:crypto';
import { FUNCTION_LABELS, HOST_IMAGE, type PetrelFunction, type Runtime } from '../../kinds/function.ts';
import { JOB_CONTROLLER, type Job } from '../../kinds/job.ts';
import type { OwnerReference } from '../../kinds/object.ts';
import { NODE_ANNOTATIONS, type Secret } from '../../kinds/pod.ts';
import { BUILD_EXIT, type BuildRequest, REQUEST_VARIABLE } from './runner/request.ts';

/** On Jobs, Pods and Secrets of builds: the directory that builds share one at a time. */
export const CACHE_LABEL = 'petrel.dev/build-cache';
/** On a Job: `inputs` of its build. */
export const INPUTS_ANNOTATION = 'petrel.dev/build-inputs';
/** On a Job: which life of the platform it was made in. Nobody answers builds of an earlier one. */
export const PLATFORM_ANNOTATION = 'petrel.dev/platform-life';

export const DEFAULT_TIMEOUT_SECONDS = 600;
/** For fetching the source and handing in the result. */
const BACKSTOP_SECONDS = 300;
/** Jobs stay this long, for their logs. */
const KEPT_SECONDS = 24 * 3600;
/** After SIGTERM. Source: runtimes/BUILDS.md. */
const GRACE_SECONDS = 5;
/** Where a Pod works; the same everywhere, so that nothing of a machine gets into a result. */
export const WORKSPACE = '/workspace';

/** Longest part of a function's name in that of a Job, so that its Pods' names fit a DNS label. */
const NAME_PART = 32;

/** Name of the Job that builds these inputs for this function. */
export function jobName({ metadata }: PetrelFunction, inputs: string): string {
  const hash = createHash('sha256').update(`${metadata.uid} ${inputs}`).digest('hex').slice(0, 10);
  return `${metadata.name.slice(0, NAME_PART).replace(/-+$/, '')}-build-${hash}`;
}

/** Name of the cache directory of a namespace and runtime. */
export function cacheName(namespace: string, runtime: string): string {
  return `build_${namespace}_${runtime}`;
}

export interface BuildJobOptions {
  fn: PetrelFunction;
  runtime: Runtime;
  inputs: string;
  request: BuildRequest;
  /** argv of the runner. */
  runner: string[];
  life: string;
  memory: string;
}

const ownedBy = ({ apiVersion, kind, metadata }: PetrelFunction): OwnerReference[] => [
  {
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  },
];

/** The objects of one build. */
export function buildObjects(options: BuildJobOptions): { secret: Secret; job: Job } {
  const { fn, inputs, request, runtime } = options;
  const namespace = fn.metadata.namespace ?? 'default';
  const name = jobName(fn, inputs);
  const cache = cacheName(namespace, runtime.metadata.name);
  const labels = {
    [FUNCTION_LABELS.function]: fn.metadata.name,
    [CACHE_LABEL]: createHash('sha256').update(cache).digest('hex').slice(0, 20),
  };
  const metadata = { name, namespace, labels, ownerReferences: ownedBy(fn) };
  return {
    secret: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      data: { request: Buffer.from(JSON.stringify(request)).toString('base64') },
    },
    job: {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        ...metadata,
        annotations: { [INPUTS_ANNOTATION]: inputs, [PLATFORM_ANNOTATION]: options.life },
      },
      spec: {
        completions: 1,
        parallelism: 1,
        // A Pod that was taken away is replaced; a build that has failed would fail again.
        backoffLimit: 1,
        podFailurePolicy: {
          rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: Object.values(BUILD_EXIT) } }],
        },
        // The runner keeps the time itself, and says so; this is for a runner that cannot.
        activeDeadlineSeconds: request.timeoutSeconds + BACKSTOP_SECONDS,
        ttlSecondsAfterFinished: KEPT_SECONDS,
        managedBy: JOB_CONTROLLER,
        template: {
          metadata: { labels, annotations: { [NODE_ANNOTATIONS.codeCache]: cache } },
          spec: {
            restartPolicy: 'Never',
            terminationGracePeriodSeconds: GRACE_SECONDS,
            containers: [
              {
                name: 'build',
                image: HOST_IMAGE,
                command: options.runner,
                env: [
                  ...(fn.spec.build?.env ?? []),
                  { name: REQUEST_VARIABLE, valueFrom: { secretKeyRef: { name, key: 'request' } } },
                ],
                resources: { limits: { memory: options.memory } },
                volumeMounts: [{ name: 'workspace', mountPath: WORKSPACE }],
              },
            ],
            volumes: [{ name: 'workspace', emptyDir: {} }],
          },
        },
      },
    },
  };
}
