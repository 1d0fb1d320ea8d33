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

/** A Function that has a package, as every one without an image. */
export type CodeFunction = PetrelFunction & { spec: { package: { digest: Digest } } };
export const hasCode = (fn: PetrelFunction): fn is CodeFunction => fn.spec.package !== undefined;

/** What stands for the runtime of a function that is an image. */
export const IMAGE_RUNTIME = 'image';

export interface FunctionSpec {
  /** Name of a `Runtime`; `IMAGE_RUNTIME` where there is an image. */
  runtime: string;
  /** The code: an archive in the package store. Absent where there is an image. */
  package?: { digest: Digest };
  /** A container image in place of code: a program that listens on `$PORT`. */
  image?: string;
  /** File in the package that is loaded, relative, for example `hello.ts`. Absent: the runtime's own rule (package.json `main`, `index.*`, `main.py` …). */
  entry?: string;
  /** Export (node) or attribute (python) to call. Absent: the loader's order of recognition. */
  handler?: string;
  /** `program`: run it and forward to `$PORT`; `handler`: load and call; `fission`: call as Fission's environments do. Absent: recognised. */
  shape?: 'handler' | 'program' | 'fission';
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
  /** How `package`, then the source, becomes what instances load. Absent: as the Runtime says, if the source asks for it. */
  build?: FunctionBuild;
  /** How requests that are only accepted (202) are carried out later. */
  invocation?: FunctionInvocation;
  /** Who may call it from a browser, who may call it at all, and how often. */
  access?: FunctionAccess;
  /** Keyed state of its own. */
  state?: FunctionState;
  /** Published as a tool to MCP clients. */
  tool?: FunctionTool;
  /** Old revisions kept for rollback besides those that an alias, a tag or traffic names. Default: as `config-gc` says. */
  retainRevisions?: number;
  /** Instances kept ready for a revision that has traffic, at all times and in windows. */
  provisioned?: FunctionProvisioned;
  /** Requests with the same key go to the same instance while it lives. Exactly one of the two. */
  sticky?: { header?: string; queryParameter?: string };
  /** A debugger listens on this port of loopback in the one instance that there is then, as `spec.debugger` of the Runtime says. */
  debugPort?: number;
  /** An instance works on one request in its life. Implies a concurrency of 1. */
  onceOnly?: boolean;
}

export interface FunctionBuild {
  /** `never`: the package is run as it is. `always`: even when nothing in it asks for a build. Default `auto`. */
  mode?: 'auto' | 'always' | 'never';
  /** Instead of the Runtime's; run by `sh -c` in the source's directory. See `runtimes/BUILDS.md`. */
  command?: string;
  env?: EnvVar[];
  /** Default 600. */
  timeoutSeconds?: number;
  /** Also written as an OCI image under this reference, without a container engine. */
  image?: string;
}

export interface FunctionInvocation {
  /** Attempts in all, the first one included. Default 3. */
  maxAttempts?: number;
  /** Before the second attempt; doubles each time up to `backoffCapSeconds`. Default 1, cap 60; a random part of up to `jitter` (0–1, default 0.2) is added. */
  backoffSeconds?: number;
  backoffCapSeconds?: number;
  jitter?: number;
  /** An invocation older than this is not tried again. Default 21600. */
  maxAgeSeconds?: number;
  onSuccess?: InvocationDestination;
  onFailure?: InvocationDestination;
}

/** Where the outcome of an asynchronous invocation goes. Exactly one. */
export interface InvocationDestination {
  /** A function of the same namespace, called asynchronously. */
  function?: string;
  /** Gets a POST. */
  url?: string;
}

export interface FunctionAccess {
  cors?: CorsPolicy;
  /** One of these must hold; absent: everybody may call. */
  auth?: AuthPolicy;
  /** GCRA, as in a TrafficPolicy; the policy's own wins where there is one. */
  rateLimit?: {
    requests: number;
    seconds?: number;
    burst?: number;
    key?: { header?: string; cookie?: string };
  };
}

export interface CorsPolicy {
  /** Exact origins, `https://*.example.com`, or `*`. */
  allowOrigins: string[];
  allowMethods?: string[];
  allowHeaders?: string[];
  exposeHeaders?: string[];
  allowCredentials?: boolean;
  maxAgeSeconds?: number;
}

/** Keys are read from Secrets of the function's namespace; a change takes effect at once. */
export interface AuthPolicy {
  /** Sent in the header (default `x-api-key`) or as `Authorization: Bearer`. Every key of the Secret is one that is accepted. */
  apiKey?: { secret: string; header?: string };
  /** `jwksUrl` or a Secret with the key `jwks` or `secret` (HS256). */
  jwt?: {
    issuer?: string;
    audiences?: string[];
    jwksUrl?: string;
    secret?: string;
    requiredClaims?: Record<string, string>;
    /** Also tokens without `exp`, which hold until their key goes. Default false. */
    allowWithoutExpiry?: boolean;
  };
  /** A signature of the body: `sha256=<hex>` of HMAC-SHA-256 with the Secret's key `secret`. Header default `x-hub-signature-256`. */
  hmac?: { secret: string; header?: string };
}

export interface FunctionState {
  /** Functions with the same keyspace share. Default: the function's own name. */
  keyspace?: string;
  /** Seconds a key lives unless the writer says otherwise; 0 is for ever. Default 0. */
  defaultTtlSeconds?: number;
  /** Default 262144. */
  maxValueBytes?: number;
  /** Default 10000. */
  maxKeys?: number;
}

export interface FunctionTool {
  description: string;
  /** Default: the function's name. */
  name?: string;
  /** JSON Schema of the arguments, which become the request's JSON body. Default: any object. */
  inputSchema?: Record<string, unknown>;
}

export interface FunctionProvisioned {
  /** Instances at all times. */
  target?: number;
  /** `cron` (five fields, `timeZone` default UTC) begins a window of `durationSeconds` with its own target; the highest wins. */
  windows?: { name: string; cron: string; timeZone?: string; durationSeconds: number; target: number }[];
}

export interface FunctionStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  url?: string;
  build?: BuildStatus;
  latestCreatedRevisionName?: string;
  latestReadyRevisionName?: string;
}

/** The last build: what was built, and what came of it. */
export interface BuildStatus {
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  /** What was built: `spec.package.digest` then. */
  source: Digest;
  /** Digest of source, command, variables and toolchain: the same inputs are not built again. */
  inputs: string;
  /** What instances load. */
  digest?: Digest;
  image?: string;
  /** Name of the Job, whose Pod has the whole log. */
  job?: string;
  startedAt?: string;
  finishedAt?: string;
  /** The end of the log, when it failed; at most 4 KiB. */
  message?: string;
}

/** A name for one or two revisions of a function, for example `hello-prod`. Owns a Knative Route of its name. */
export interface FunctionAlias extends KubeObject {
  apiVersion: 'petrel.dev/v1';
  kind: 'FunctionAlias';
  spec: {
    /** Immutable. */
    function: string;
    /** Absent: the newest ready revision, always. */
    revisionName?: string;
    /** A second revision and its part of the requests, percent. */
    secondary?: { revisionName: string; percent: number };
  };
  status?: { observedGeneration?: number; conditions?: Condition[]; url?: string };
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
  /** argv of a generic instance. `$(NODE)` is the platform's own Node, `$(RUNTIME_DIR)` the runtime's directory, `$(RUNTIME_CACHE)` what its `prepare.cjs` has made. */
  command: string[];
  env?: EnvVar[];
  /** Warm generic instances. The pool holds `min`, grows with demand to `max`. */
  pool?: { min?: number; max?: number };
  /** Functions of one namespace that an instance may hold at a time, each apart from the others. Absent: one, which is all there is in it. */
  share?: number;
  /** Files whose presence at the top of a folder chooses this runtime, for example `go.mod`. */
  markers?: string[];
  /** How source becomes what instances load; see `runtimes/BUILDS.md`. Absent: source is loaded as it is. */
  build?: RuntimeBuild;
  /** Programs that must be on the machine for instances (`for: run`) or builds (`for: build`). */
  tools?: RuntimeTool[];
  /** How a debugger gets in, where a Function has a `debugPort`. Absent: it cannot. */
  debugger?: RuntimeDebugger;
  /** How instances are forked from a warm process; see `runtimes/PROTOCOL.md`. Absent: every instance is started by `command`. */
  zygote?: {
    command: string[];
    /** What it forks may load a function's code and be forked itself then. */
    functions?: boolean;
  };
}

export interface RuntimeDebugger {
  /** What is spoken on the port: `inspector`, `debugpy`, `delve`, `jdwp`, `rdbg`, `xdebug`, or another of the language's own. */
  protocol: string;
  /** The port that the language's tools have by default. */
  port: number;
  /** A process can be debugged only when it was started for that: its instance has a Pod of its own, with `PETREL_DEBUG_PORT`. */
  atStart?: boolean;
  /** The build makes something else then, and gets `PETREL_DEBUG=1`. */
  build?: boolean;
  /** The debugger listens, and the function calls it: nobody has to listen in the instance. */
  reversed?: boolean;
}

export interface RuntimeBuild {
  /** argv, run in a writable copy of the source; `$(NODE)` and `$(RUNTIME_DIR)` as in `RuntimeSpec.command`. */
  command: string[];
  /** Built only when one of these files is at the top of the source; absent or empty: always. */
  when?: string[];
}

export interface RuntimeTool {
  /** Looked for in PATH, for example `cargo`; `$(NODE)` and `$(RUNTIME_DIR)` as in `RuntimeSpec.command`. */
  command: string;
  for: 'run' | 'build';
  /** How to get it, one sentence with a command. */
  install: string;
  /** argv that brings it, of a tool for `run`: done when the first function asks for the runtime and `command` is not there. */
  bring?: string[];
}

/** On a Runtime: the folder that `$(RUNTIME_DIR)` stands for, where it is not one of those that come with the platform. */
export const RUNTIME_DIRECTORY_ANNOTATION = 'petrel.dev/directory';

/** The folder of a Runtime. `runtimesDir`: where those that come with the platform are. */
export function runtimeDirectory({ metadata }: Runtime, runtimesDir: string): string {
  return metadata.annotations?.[RUNTIME_DIRECTORY_ANNOTATION] ?? `${runtimesDir}/${metadata.name}`;
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
  debugPort: 'petrel.dev/debug-port',
  /** The keyspace of its state. */
  state: 'petrel.dev/state',
  /**
   * On a Function too. What its instances are forked from: `function`, a process that has loaded its code; `runtime`, one that has loaded
   * nothing of it; `off`, nothing. Absent: a process with its code where loading takes long, and it draws no random numbers then.
   */
  zygote: 'petrel.dev/zygote',
} as const;

/** Values of `CODE_ANNOTATIONS.zygote`. */
export const ZYGOTES = ['function', 'runtime', 'off'] as const;

/** Annotations on a Knative Service that hold at once for all its revisions, whoever made it. JSON of the fields of a Function. */
export const SERVICE_ANNOTATIONS = {
  /** `FunctionSpec.access`. */
  access: 'petrel.dev/access',
  /** `FunctionSpec.sticky`. */
  sticky: 'petrel.dev/sticky',
} as const;

/** On a Revision template, `true`: `FunctionSpec.onceOnly`. */
export const ONCE_ONLY_ANNOTATION = 'petrel.dev/once-only';

/** On a Function: the name that its next revision is to have, `<function>-<something>`, as `metadata.name` in a Knative template. */
export const REVISION_NAME_ANNOTATION = 'petrel.dev/revision-name';

/** On a Function: JSON of labels that its Pods get besides the platform's own. A change makes a new revision. */
export const POD_LABELS_ANNOTATION = 'petrel.dev/pod-labels';

/** Image name that stands for "an instance of this Runtime" in a pod template: `petrel.dev/runtime/<name>`. */
export const RUNTIME_IMAGE_PREFIX = 'petrel.dev/runtime/';
/** Image name that stands for "no image: run `command` on the host's own filesystem view". */
export const HOST_IMAGE = 'petrel.dev/host';
