/** Everything of Fission's that the translation looks at, in memory, and how changes of one object reach those that depend on it. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import type { KubeClient, ResourceRef } from '../../kube/client.ts';
import { createInformer, type Informer, type InformerOptions } from '../../kube/informer.ts';
import { FUNCTIONS, KSERVICES } from '../../kube/refs.ts';
import {
  type CanaryConfig,
  type Environment,
  FISSION,
  type FissionFunction,
  type FissionFunctionSpec,
  type FunctionAlias,
  type FunctionReference,
  type FunctionVersion,
  type HttpTrigger,
  type NameRef,
  type Package,
  type QueueTrigger,
  type TimeTrigger,
  type WatchTrigger,
} from './model.ts';

/** `<namespace>/<name>` of what a field refers to; the namespace of the object that has the field where none is given. */
export const keyOfRef = (ref: NameRef | undefined, namespace: string | undefined): string | undefined =>
  ref?.name ? `${ref.namespace || namespace || 'default'}/${ref.name}` : undefined;

const list = (key: string | undefined): string[] => (key === undefined ? [] : [key]);
const byParts = (spec: FissionFunctionSpec, namespace: string | undefined) => ({
  environment: list(keyOfRef(spec.environment, namespace)),
  package: list(keyOfRef(spec.package?.packageref, namespace)),
});

/** Value of the index `refers` under which those are found that refer to an object. */
export const refersTo = (kind: string, namespace: string | undefined, name: string): string =>
  `${kind}/${namespace ?? 'default'}/${name}`;

function referred(reference: FunctionReference, namespace: string | undefined): string[] {
  const { type, name, alias, version, functionweights } = reference;
  const functions = type === 'function-weights' ? Object.keys(functionweights ?? {}) : name ? [name] : [];
  return [
    ...functions.map((fn) => refersTo('Function', namespace, fn)),
    ...(alias ? [refersTo('FunctionAlias', namespace, alias)] : []),
    ...(version ? [refersTo('FunctionVersion', namespace, version)] : []),
  ];
}

export interface Caches {
  functions: Informer<FissionFunction>;
  environments: Informer<Environment>;
  packages: Informer<Package>;
  httpTriggers: Informer<HttpTrigger>;
  timeTriggers: Informer<TimeTrigger>;
  watchTriggers: Informer<WatchTrigger>;
  queueTriggers: Informer<QueueTrigger>;
  canaries: Informer<CanaryConfig>;
  versions: Informer<FunctionVersion>;
  aliases: Informer<FunctionAlias>;
  /** What stands for functions. */
  targets: Informer<PetrelFunction>;
  services: Informer<Service>;
}

/** Informers that are not started yet. Functions and versions are indexed by `environment` and `package`, what refers to them by `refers`. */
export function createCaches(options: { client: KubeClient; log: Logger; clock: Clock }): Caches {
  const cache = <T extends KubeObject>(resource: ResourceRef, more: Partial<InformerOptions<T>> = {}) =>
    createInformer<T>({ ...options, resource, ...more });
  const parts = <T extends KubeObject>(specOf: (object: T) => FissionFunctionSpec) => ({
    environment: (object: T) => byParts(specOf(object), object.metadata.namespace).environment,
    package: (object: T) => byParts(specOf(object), object.metadata.namespace).package,
  });
  return {
    functions: cache<FissionFunction>(FISSION.functions, {
      indexes: parts<FissionFunction>((fn) => fn.spec),
    }),
    environments: cache<Environment>(FISSION.environments),
    packages: cache<Package>(FISSION.packages, {
      indexes: {
        environment: ({ metadata, spec }) => list(keyOfRef(spec.environment, metadata.namespace)),
      },
    }),
    httpTriggers: cache<HttpTrigger>(FISSION.httpTriggers, {
      indexes: { refers: ({ metadata, spec }) => referred(spec.functionref, metadata.namespace) },
    }),
    timeTriggers: cache<TimeTrigger>(FISSION.timeTriggers),
    watchTriggers: cache<WatchTrigger>(FISSION.watchTriggers),
    queueTriggers: cache<QueueTrigger>(FISSION.queueTriggers, {
      indexes: { refers: ({ metadata, spec }) => referred(spec.functionref, metadata.namespace) },
    }),
    canaries: cache<CanaryConfig>(FISSION.canaries),
    versions: cache<FunctionVersion>(FISSION.versions, {
      indexes: parts<FunctionVersion>((version) => version.spec.snapshot),
    }),
    aliases: cache<FunctionAlias>(FISSION.aliases, {
      indexes: {
        refers: ({ metadata: { namespace }, spec }) => [
          refersTo('Function', namespace, spec.functionName),
          ...[spec.version, spec.secondaryVersion].flatMap((name) =>
            name ? [refersTo('FunctionVersion', namespace, name)] : [],
          ),
        ],
      },
    }),
    targets: cache<PetrelFunction>(FUNCTIONS),
    services: cache<Service>(KSERVICES, { labelSelector: 'fission.io/function' }),
  };
}
