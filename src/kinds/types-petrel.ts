/** Types of our own kinds, in the form of the type table (`type-table.ts`). They never travel as protobuf: number 0. */
import type { TypeTexts } from './type-table.ts';

const CORE = 'io.k8s.api.core.v1';
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const CONDITIONS = '0 []dev.knative.serving.v1.Condition o ? l=map lk=type';

export const PETREL_TYPES: TypeTexts = {
  Function: {
    '': 'kind',
    metadata: `0 ${META}.ObjectMeta o ?`,
    spec: '0 FunctionSpec',
    status: '0 FunctionStatus o ?',
  },
  FunctionSpec: {
    runtime: '0 string',
    package: '0 FunctionPackage',
    entry: '0 string o ?',
    handler: '0 string o ?',
    shape: '0 string o ?',
    env: `0 []${CORE}.EnvVar o ? l=map lk=name`,
    envFrom: `0 []${CORE}.EnvFromSource o ? l=atomic`,
    volumes: `0 []${CORE}.Volume o ? l=map lk=name`,
    volumeMounts: `0 []${CORE}.VolumeMount o ? l=map lk=mountPath`,
    resources: `0 ${CORE}.ResourceRequirements o ?`,
    concurrency: '0 int64 * o ?',
    scale: '0 Bounds o ?',
    timeoutSeconds: '0 int64 * o ?',
    build: '0 FunctionBuild * o ?',
    invocation: '0 FunctionInvocation * o ?',
    access: '0 FunctionAccess * o ?',
    state: '0 FunctionState * o ?',
    tool: '0 FunctionTool * o ?',
    retainRevisions: '0 int32 * o ?',
    provisioned: '0 FunctionProvisioned * o ?',
    sticky: '0 FunctionSticky * o ?',
    onceOnly: '0 bool o ?',
  },
  FunctionPackage: { digest: '0 string' },
  Bounds: { min: '0 int32 * o ?', max: '0 int32 * o ?' },
  FunctionStatus: {
    observedGeneration: '0 int64 o ?',
    conditions: CONDITIONS,
    url: '0 string o ?',
    build: '0 BuildStatus * o ?',
    latestCreatedRevisionName: '0 string o ?',
    latestReadyRevisionName: '0 string o ?',
  },
  Runtime: {
    '': 'kind',
    metadata: `0 ${META}.ObjectMeta o ?`,
    spec: '0 RuntimeSpec',
    status: '0 RuntimeStatus o ?',
  },
  RuntimeSpec: {
    language: '0 string',
    extensions: '0 []string l=set',
    command: '0 []string l=atomic',
    env: `0 []${CORE}.EnvVar o ? l=map lk=name`,
    pool: '0 Bounds o ?',
    markers: '0 []string o ? l=set',
    build: '0 RuntimeBuild * o ?',
    tools: '0 []RuntimeTool o ? l=map lk=command',
    zygote: '0 RuntimeZygote * o ?',
  },
  RuntimeStatus: { observedGeneration: '0 int64 o ?', conditions: CONDITIONS, warm: '0 int32 o ?' },
};

/** One-line descriptions for `kubectl explain`; `` is the type itself. */
export const PETREL_DOCS: TypeTexts = {
  Function: {
    '': 'Function is source code that answers requests. It owns a Knative Service of the same name.',
    metadata: 'Standard object metadata. The name becomes part of the URL.',
    spec: 'What to run and how.',
    status: 'Where it answers and whether it can.',
  },
  FunctionSpec: {
    runtime: 'Name of a Runtime.',
    package: 'The code: an archive in the package store.',
    entry: "File of the package that is loaded, relative. Left out: the runtime's own rule.",
    handler: 'Export (node) or attribute (python) to call. Left out: it is recognised.',
    shape:
      "'handler' is loaded and called; 'program' is run and listens on $PORT. Left out: it is recognised.",
    env: 'Environment variables.',
    envFrom: 'ConfigMaps and Secrets whose keys become environment variables.',
    volumes: 'ConfigMaps, Secrets and empty directories that can be mounted.',
    volumeMounts: 'Where volumes appear in the file system.',
    resources: 'CPU and memory of one instance.',
    concurrency: 'Requests one instance works on at once. 0 is unlimited. Default 0, at most 1000.',
    scale: 'Bounds on the number of instances.',
    timeoutSeconds: 'Seconds a whole request may take. Default 300, at most 600.',
    build: 'How source becomes what instances load. Left out: as the Runtime says.',
    invocation: 'How asynchronous invocations are carried out.',
    access: 'Who may call it, from where, and how often.',
    state: 'Keyed state of its own.',
    tool: 'Published as a tool to MCP clients.',
    retainRevisions: 'Old revisions kept for rollback. Default: as config-gc says.',
    provisioned: 'Instances kept ready.',
    sticky: 'Requests with the same key go to the same instance.',
    onceOnly: 'An instance works on one request in its life.',
  },
  FunctionPackage: {
    '': 'FunctionPackage names an archive by its content.',
    digest: 'sha256: and 64 hex digits.',
  },
  Bounds: { '': 'Bounds limit a number.', min: 'The least.', max: 'The most; 0 is no limit.' },
  FunctionStatus: {
    observedGeneration: 'The generation of the spec that this status describes.',
    conditions: 'Aspects of its state. Ready says whether requests are answered.',
    url: 'Where requests go.',
    build: 'The last build.',
    latestCreatedRevisionName: 'The newest Revision.',
    latestReadyRevisionName: 'The newest Revision that can serve.',
  },
  Runtime: {
    '': 'Runtime is a language environment: how an instance is started and how many are kept warm.',
    metadata: 'Standard object metadata.',
    spec: 'How instances are started.',
    status: 'How many instances are warm.',
  },
  RuntimeSpec: {
    language: 'Language as a user would name it: node, python.',
    extensions: "File extensions, with dot, by which 'petrel deploy' chooses this runtime.",
    command:
      "argv of a generic instance. $(NODE) is the platform's own Node, $(RUNTIME_DIR) the runtime's directory.",
    env: 'Environment variables of every instance.',
    pool: 'Bounds on the number of warm generic instances.',
    markers: 'Files at the top of a folder that choose this runtime.',
    build: 'How source becomes what instances load. Left out: it is loaded as it is.',
    tools: 'Programs that must be on the machine.',
    zygote: 'A warm process that instances are forked from. Left out: each is started.',
  },
  RuntimeStatus: {
    observedGeneration: 'The generation of the spec that this status describes.',
    conditions: 'Aspects of its state.',
    warm: 'Generic instances that wait for work.',
  },
};
