/** The kinds of our own, `petrel.dev/v1`: source code plus a language, and the language environment itself. */
import type { Condition, KubeObject } from './object.ts';
import type { EnvFromSource, EnvVar, ResourceRequirements, Volume, VolumeMount } from './pod.ts';

/** A digest of a package's bytes: `sha256:` and 64 hex digits. */
export type Digest = `sha256:${string}`;

/** Source code that answers requests. Owns a Knative `Service` of the same name. */
export interface PetrelFunction extends KubeObject {
  apiVersion: 'petrel.dev/v1';
  kind: 'Function';
  spec: FunctionSpec;
  status?: FunctionStatus;
}

export interface FunctionSpec {
  /** Name of a `Runtime`. */
  runtime: string;
  /** The code: an archive in the package store. */
  package: { digest: Digest };
  /** File in the package that is loaded, relative, for example `hello.ts`. Absent: the runtime's own rule (package.json `main`, `index.*`, `main.py` …). */
  entry?: string;
  /** Export (node) or attribute (python) to call. Absent: the loader's order of recognition. */
  handler?: string;
  /** `program`: run it and forward to `$PORT`; `handler`: load and call. Absent: recognised. */
  shape?: 'handler' | 'program';
  env?: EnvVar[];
  envFrom?: EnvFromSource[];
  volumes?: Volume[];
  volumeMounts?: VolumeMount[];
  resources?: ResourceRequirements;
  /** Requests one instance works on at once; 0 is unlimited. Becomes `containerConcurrency`. */
  concurrency?: number;
  /** Bounds on the number of instances; `max` 0 is unlimited. */
  scale?: { min?: number; max?: number };
  /** Whole request, seconds. Default 300. */
  timeoutSeconds?: number;
}

export interface FunctionStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  url?: string;
  latestCreatedRevisionName?: string;
  latestReadyRevisionName?: string;
}

/** A language environment (cluster-scoped): how a generic instance is started and how many are kept warm. */
export interface Runtime extends KubeObject {
  apiVersion: 'petrel.dev/v1';
  kind: 'Runtime';
  spec: RuntimeSpec;
  status?: { observedGeneration?: number; conditions?: Condition[]; warm?: number };
}

export interface RuntimeSpec {
  /** Language as a user would name it: `node`, `python`. */
  language: string;
  /** File extensions, with dot, by which `petrel deploy` chooses this runtime. */
  extensions: string[];
  /** argv of a generic instance. `$(NODE)` is the platform's own Node, `$(RUNTIME_DIR)` the runtime's directory. */
  command: string[];
  env?: EnvVar[];
  /** Warm generic instances. The pool holds `min`, grows with demand to `max`. */
  pool?: { min?: number; max?: number };
}

/** Labels and annotations by which parts of the platform recognise each other's objects. */
export const FUNCTION_LABELS = {
  /** On a Pod: the Runtime it is a generic or specialised instance of. */
  runtime: 'petrel.dev/runtime',
  /** On a Pod: `generic`, or `specialised` once it belongs to a revision. */
  pool: 'petrel.dev/pool',
  /** On a Pod and on everything a Function owns: the Function's name. */
  function: 'petrel.dev/function',
} as const;

/** Annotations on a Revision template that tell the pools what to load. */
export const CODE_ANNOTATIONS = {
  package: 'petrel.dev/package',
  runtime: 'petrel.dev/runtime',
  entry: 'petrel.dev/entry',
  handler: 'petrel.dev/handler',
  shape: 'petrel.dev/shape',
} as const;

/** On a Function: the name that its next revision is to have, `<function>-<something>`, as `metadata.name` in a Knative template. */
export const REVISION_NAME_ANNOTATION = 'petrel.dev/revision-name';

/** Image name that stands for "an instance of this Runtime" in a pod template: `petrel.dev/runtime/<name>`. */
export const RUNTIME_IMAGE_PREFIX = 'petrel.dev/runtime/';
/** Image name that stands for "no image: run `command` on the host's own filesystem view". */
export const HOST_IMAGE = 'petrel.dev/host';
