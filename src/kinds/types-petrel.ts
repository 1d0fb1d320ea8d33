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
  },
  FunctionPackage: { digest: '0 string' },
  Bounds: { min: '0 int32 * o ?', max: '0 int32 * o ?' },
  FunctionStatus: {
    observedGeneration: '0 int64 o ?',
    conditions: CONDITIONS,
    url: '0 string o ?',
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
  },
  RuntimeStatus: { observedGeneration: '0 int64 o ?', conditions: CONDITIONS, warm: '0 int32 o ?' },
};
