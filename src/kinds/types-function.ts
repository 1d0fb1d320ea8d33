/** Types of the parts of a Function and of its alias, in the form of the type table (`type-table.ts`); `function.ts` says what the fields mean. */
import type { TypeTexts } from './type-table.ts';

const CORE = 'io.k8s.api.core.v1';
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const CONDITIONS = '0 []dev.knative.serving.v1.Condition o ? l=map lk=type';

export const FUNCTION_PART_TYPES: TypeTexts = {
  FunctionBuild: {
    mode: '0 string o ?',
    command: '0 string o ?',
    env: `0 []${CORE}.EnvVar o ? l=map lk=name`,
    timeoutSeconds: '0 int64 * o ?',
    image: '0 string o ?',
  },
  FunctionInvocation: {
    maxAttempts: '0 int32 * o ?',
    backoffSeconds: '0 double * o ?',
    backoffCapSeconds: '0 double * o ?',
    jitter: '0 double * o ?',
    maxAgeSeconds: '0 int64 * o ?',
    onSuccess: '0 InvocationDestination * o ?',
    onFailure: '0 InvocationDestination * o ?',
  },
  InvocationDestination: { function: '0 string o ?', url: '0 string o ?' },
  FunctionAccess: {
    cors: '0 CorsPolicy * o ?',
    auth: '0 AuthPolicy * o ?',
    rateLimit: '0 RateLimit * o ?',
  },
  CorsPolicy: {
    allowOrigins: '0 []string l=set',
    allowMethods: '0 []string o ? l=set',
    allowHeaders: '0 []string o ? l=set',
    exposeHeaders: '0 []string o ? l=set',
    allowCredentials: '0 bool o ?',
    maxAgeSeconds: '0 int64 * o ?',
  },
  AuthPolicy: {
    apiKey: '0 ApiKeyAuth * o ?',
    jwt: '0 JwtAuth * o ?',
    hmac: '0 HmacAuth * o ?',
  },
  ApiKeyAuth: { secret: '0 string', header: '0 string o ?' },
  JwtAuth: {
    issuer: '0 string o ?',
    audiences: '0 []string o ? l=set',
    jwksUrl: '0 string o ?',
    secret: '0 string o ?',
    requiredClaims: '0 {}string o ?',
    allowWithoutExpiry: '0 bool o ?',
  },
  HmacAuth: { secret: '0 string', header: '0 string o ?' },
  FunctionState: {
    keyspace: '0 string o ?',
    defaultTtlSeconds: '0 int64 * o ?',
    maxValueBytes: '0 int64 * o ?',
    maxKeys: '0 int64 * o ?',
  },
  FunctionTool: { description: '0 string', name: '0 string o ?', inputSchema: '0 any o ?' },
  FunctionProvisioned: { target: '0 int32 * o ?', windows: '0 []ProvisionedWindow o ? l=map lk=name' },
  ProvisionedWindow: {
    name: '0 string',
    cron: '0 string',
    timeZone: '0 string o ?',
    durationSeconds: '0 int64',
    target: '0 int32',
  },
  FunctionSticky: { header: '0 string o ?', queryParameter: '0 string o ?' },
  BuildStatus: {
    phase: '0 string',
    source: '0 string',
    inputs: '0 string',
    digest: '0 string o ?',
    image: '0 string o ?',
    job: '0 string o ?',
    startedAt: '0 time o ?',
    finishedAt: '0 time o ?',
    message: '0 string o ?',
  },
  RuntimeBuild: { command: '0 []string l=atomic', when: '0 []string o ? l=set' },
  RuntimeTool: {
    command: '0 string',
    for: '0 string',
    install: '0 string',
    bring: '0 []string o ? l=atomic',
  },
  RuntimeZygote: { command: '0 []string l=atomic', functions: '0 bool o ?' },
  RuntimeDebugger: {
    protocol: '0 string',
    port: '0 int32',
    atStart: '0 bool o ?',
    build: '0 bool o ?',
    reversed: '0 bool o ?',
  },
  FunctionAlias: {
    '': 'kind',
    metadata: `0 ${META}.ObjectMeta o ?`,
    spec: '0 FunctionAliasSpec',
    status: '0 FunctionAliasStatus o ?',
  },
  FunctionAliasSpec: {
    function: '0 string',
    revisionName: '0 string o ?',
    secondary: '0 AliasSecondary * o ?',
  },
  AliasSecondary: { revisionName: '0 string', percent: '0 int32' },
  FunctionAliasStatus: {
    observedGeneration: '0 int64 o ?',
    conditions: CONDITIONS,
    url: '0 string o ?',
  },
};

/** One-line descriptions for `kubectl explain`; `` is the type itself. */
export const FUNCTION_PART_DOCS: TypeTexts = {
  FunctionBuild: {
    '': 'FunctionBuild says how source becomes what instances load.',
    mode: "'auto' builds when the source asks for it, 'always', 'never'. Default auto.",
    command: "Run by sh -c in the source's directory instead of the Runtime's own.",
    env: 'Environment variables of the build.',
    timeoutSeconds: 'Seconds a build may take. Default 600.',
    image: 'Reference of an OCI image that is written as well.',
  },
  FunctionInvocation: {
    '': 'FunctionInvocation says how asynchronous invocations are carried out.',
    maxAttempts: 'Attempts in all. Default 3.',
    backoffSeconds: 'Wait before the second attempt; doubles each time. Default 1.',
    backoffCapSeconds: 'Longest wait. Default 60.',
    jitter: 'Random part of a wait, 0 to 1. Default 0.2.',
    maxAgeSeconds: 'An older invocation is not tried again. Default 21600.',
    onSuccess: 'Where results go.',
    onFailure: 'Where invocations that failed for good go.',
  },
  FunctionAccess: {
    '': 'FunctionAccess says who may call a function, and how often.',
    cors: 'Which pages of other origins may call it.',
    auth: 'One of these must hold. Left out: everybody may call.',
    rateLimit: 'Requests in a time, for each key.',
  },
  FunctionState: {
    '': 'FunctionState is keyed state of a function.',
    keyspace: "Functions with the same keyspace share it. Default: the function's name.",
    defaultTtlSeconds: 'Seconds a key lives unless its writer says otherwise; 0 is for ever.',
    maxValueBytes: 'Longest value. Default 262144.',
    maxKeys: 'Most keys. Default 10000.',
  },
  FunctionTool: {
    '': 'FunctionTool publishes a function as a tool to MCP clients.',
    description: 'What the tool does, for the model that chooses it.',
    name: "Default: the function's name.",
    inputSchema: 'JSON Schema of the arguments. Default: any object.',
  },
  FunctionProvisioned: {
    '': 'FunctionProvisioned keeps instances ready.',
    target: 'Instances at all times.',
    windows: 'Times with a target of their own; the highest wins.',
  },
  FunctionSticky: {
    '': 'FunctionSticky sends requests with the same key to the same instance.',
    header: 'Header whose value is the key.',
    queryParameter: 'Query parameter whose value is the key.',
  },
  RuntimeBuild: {
    '': 'RuntimeBuild says how source becomes what instances load.',
    command: 'argv, run in a writable copy of the source.',
    when: 'Built only when one of these files is at the top of the source. Left out: always.',
  },
  RuntimeTool: {
    '': 'RuntimeTool is a program that must be on the machine.',
    command: 'Looked for in PATH.',
    for: "'run' for instances, 'build' for builds.",
    install: 'How to get it.',
    bring: 'argv that brings it when the first function asks for the runtime and it is not there.',
  },
  RuntimeDebugger: {
    '': 'RuntimeDebugger is how a debugger gets into an instance.',
    protocol: 'What is spoken on the port, for example delve or jdwp.',
    port: "The port that the language's tools have by default.",
    atStart: 'Instances have to be started for it: they have Pods of their own, with PETREL_DEBUG_PORT.',
    build: 'The build makes something else then, and gets PETREL_DEBUG=1.',
    reversed: 'The debugger listens, and the function calls it.',
  },
  RuntimeZygote: {
    '': 'RuntimeZygote is a warm process that instances are forked from.',
    command: 'argv of the process.',
    functions: "What it forks may load a function's code and be forked itself then.",
  },
  FunctionAlias: {
    '': 'FunctionAlias is a name for one or two revisions of a function. It owns a Knative Route of its name.',
    metadata: 'Standard object metadata. The name becomes part of the URL.',
    spec: 'What the name stands for.',
    status: 'Where it answers and whether it can.',
  },
  FunctionAliasSpec: {
    function: 'Name of the function. Immutable.',
    revisionName: 'Left out: the newest ready revision, always.',
    secondary: 'A second revision and its part of the requests.',
  },
};
