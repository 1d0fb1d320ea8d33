/** Functions and published versions: each is answered for by a Petrel Function or, as a container, by a Knative Service. */
import { reachableHost } from '../../base/reachable.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { Condition, KubeObject } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { orUndefined } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { FUNCTIONS, KSERVICES } from '../../kube/refs.ts';
import { keyOfRef } from './caches.ts';
import { type Finding, found, withFindings } from './conditions.ts';
import { BEHIND_MS, type Context, exists, type Part, writeStatus } from './context.ts';
import { withIgnored } from './ignored.ts';
import { environmentService } from './images.ts';
import { languageOf } from './languages.ts';
import { executorOf, FISSION, type FissionFunction, isProblem, type Problem } from './model.ts';
import type { Packages } from './packages.ts';
import { type Subject, upToDate } from './parts.ts';
import { containerService } from './services.ts';
import { petrelFunction } from './translate.ts';

/** What stands for the other executor has to be gone first; looked at again after this time, ms. */
const AGAIN_MS = 250;

type Target = PetrelFunction | Service;

export interface Functions extends Part {
  /** The code of a package has become known, or another. */
  packageChanged(key: string): void;
}

const owns = (owner: KubeObject, object: KubeObject): boolean =>
  (object.metadata.ownerReferences ?? []).some(
    ({ uid, controller }) => controller && uid === owner.metadata.uid,
  );

const PENDING: Finding = {
  type: 'Ready',
  status: 'Unknown',
  reason: 'PackagePending',
  message: 'The package is being read.',
};

export function createFunctions(context: Context, packages: () => Packages): Functions {
  const { caches, client, clock, log } = context;
  const { host, port } = context.gateway.address;
  const fetching = {
    base: `http://${reachableHost(host)}:${port}`,
    secret: context.storagePath,
    node: context.node,
  };

  const subjectOf = (kind: string, namespace: string | undefined, name: string): Subject | undefined => {
    if (kind === 'Function') {
      const object = caches.functions.get(namespace, name);
      return (
        object && { object, spec: object.spec, functionName: name, functionUid: object.metadata.uid ?? '' }
      );
    }
    const object = caches.versions.get(namespace, name);
    if (object === undefined) return undefined;
    const { functionName, snapshot } = object.spec;
    const uid = caches.functions.get(namespace, functionName)?.metadata.uid ?? '';
    return { object, spec: snapshot, functionName, functionUid: uid };
  };

  /** The object that is to stand for it; undefined while its package is not known; a number: look again after so many milliseconds. */
  const wanted = async (subject: Subject): Promise<Target | Problem | number | undefined> => {
    const { spec, object } = subject;
    const { namespace } = object.metadata;
    if (executorOf(spec) === 'container') return containerService(subject);
    const environmentKey = keyOfRef(spec.environment, namespace) ?? '/';
    const at = splitKey(environmentKey);
    const environment = caches.environments.get(at.namespace, at.name);
    if (environment === undefined) {
      if (await exists(client, FISSION.environments, at.namespace, at.name)) return BEHIND_MS;
      const message = `The Environment "${at.name}" does not exist in namespace "${at.namespace}".`;
      return { reason: 'EnvironmentNotFound', message };
    }
    const language = languageOf(environment);
    if (isProblem(language)) return language;
    const packageKey = keyOfRef(spec.package?.packageref, namespace);
    if (packageKey === undefined)
      return { reason: 'PackageNotFound', message: 'The function names no Package.' };
    const { namespace: of, name } = splitKey(packageKey);
    if (caches.packages.get(of, name) === undefined) {
      if (await exists(client, FISSION.packages, of, name)) return BEHIND_MS;
      return {
        reason: 'PackageNotFound',
        message: `The Package "${name}" does not exist in namespace "${of}".`,
      };
    }
    const code = packages().code(packageKey);
    if (code === undefined || isProblem(code)) return code;
    if (language.runtime === '') return environmentService(subject, environment, code, fetching);
    return petrelFunction(subject, environment, language, code);
  };

  const notOwned = (kind: string, name: string): Problem => ({
    reason: 'NotOwned',
    message: `There is a ${kind} "${name}" in the namespace that does not belong to this function. Delete it, or give the function another name.`,
  });

  /** What is there under the name, written or left as it is; a number: look again after so many milliseconds. */
  const ensure = async (owner: KubeObject, target: Target): Promise<Target | Problem | number> => {
    const { name, namespace } = target.metadata;
    const container = target.kind === 'Service';
    const [ref, cache, otherRef, other] = container
      ? ([KSERVICES, caches.services, FUNCTIONS, caches.targets.get(namespace, name)] as const)
      : ([FUNCTIONS, caches.targets, KSERVICES, caches.services.get(namespace, name)] as const);
    if (other && owns(owner, other)) {
      await orUndefined(client.delete(otherRef, namespace, name));
      return AGAIN_MS;
    }
    const there = cache.get(namespace, name) ?? (await orUndefined(client.get<Target>(ref, namespace, name)));
    if (there === undefined) return client.create<Target>(ref, target);
    if (!owns(owner, there)) return notOwned(target.kind, name);
    if (upToDate(there, target)) return there;
    return client.update<Target>(ref, {
      ...there,
      metadata: {
        ...there.metadata,
        labels: target.metadata.labels ?? {},
        annotations: { ...there.metadata.annotations, ...target.metadata.annotations },
      },
      spec: 'traffic' in there.spec ? { ...target.spec, traffic: there.spec.traffic } : target.spec,
    } as Target);
  };

  /** What the object that stands for a function says of itself. */
  const mirrored = (target: Target): Finding => {
    const conditions: Condition[] = target.status?.conditions ?? [];
    const ready = conditions.find(({ type }) => type === 'Ready');
    const current = (target.status?.observedGeneration ?? 0) >= (target.metadata.generation ?? 1);
    if (!ready || !current)
      return { type: 'Ready', status: 'Unknown', reason: 'Deploying', message: 'It is being made ready.' };
    const reason = ready.reason || (ready.status === 'True' ? 'Ready' : 'NotReady');
    return { type: 'Ready', status: ready.status, reason, message: ready.message ?? '' };
  };

  const writeFindings = (fn: FissionFunction, findings: Finding[]) =>
    writeStatus(client, FISSION.functions, fn, {
      ...fn.status,
      observedGeneration: fn.metadata.generation ?? 1,
      conditions: withFindings(
        fn.status?.conditions,
        withIgnored(fn, findings),
        fn.metadata.generation,
        clock.now(),
      ),
    });

  const controller = createController({
    name: 'fission-functions',
    log,
    clock,
    async reconcile(key) {
      const [kind = '', ...rest] = key.split('/');
      const { namespace, name } = splitKey(rest.join('/'));
      const subject = subjectOf(kind, namespace, name);
      if (subject === undefined || subject.object.metadata.deletionTimestamp) return undefined;
      const target = await wanted(subject);
      if (typeof target === 'number') return target;
      const outcome =
        target === undefined || isProblem(target) ? target : await ensure(subject.object, target);
      if (typeof outcome === 'number') return outcome;
      if (kind !== 'Function') {
        if (outcome && isProblem(outcome))
          log.warn('a version cannot be served', { version: key, ...outcome });
        return undefined;
      }
      const fn = subject.object as FissionFunction;
      if (outcome === undefined) await writeFindings(fn, [PENDING]);
      else if (isProblem(outcome)) await writeFindings(fn, [found('Ready', outcome)]);
      else if (outcome.kind === 'Service') await writeFindings(fn, [mirrored(outcome)]);
      else await writeFindings(fn, [found('PackageReady', undefined, 'PackageReady'), mirrored(outcome)]);
      return undefined;
    },
  });

  const enqueue = (kind: string) => (object: KubeObject) => controller.enqueue(`${kind}/${keyOf(object)}`);
  const enqueueFunction = enqueue('Function');
  const enqueueVersion = enqueue('FunctionVersion');
  const by = (index: 'package' | 'environment', key: string) => {
    for (const fn of caches.functions.byIndex(index, key)) enqueueFunction(fn);
    for (const version of caches.versions.byIndex(index, key)) enqueueVersion(version);
  };
  caches.functions.addHandler({ add: enqueueFunction, update: enqueueFunction });
  caches.versions.addHandler({ add: enqueueVersion, update: enqueueVersion });
  const ofEnvironment = (environment: KubeObject) => by('environment', keyOf(environment));
  caches.environments.addHandler({ add: ofEnvironment, update: ofEnvironment, delete: ofEnvironment });
  const ofPackage = (pkg: KubeObject) => by('package', keyOf(pkg));
  caches.packages.addHandler({ add: ofPackage, delete: ofPackage });

  /** A target is looked at by whom it stands for; its package learns what became of its build. */
  const ofTarget = (target: KubeObject) => {
    const owner = target.metadata.ownerReferences?.find(
      ({ controller, apiVersion }) => controller && apiVersion === 'fission.io/v1',
    );
    if (!owner) return;
    const key = `${target.metadata.namespace}/${owner.name}`;
    controller.enqueue(`${owner.kind}/${key}`);
    const subject = subjectOf(owner.kind, target.metadata.namespace, owner.name);
    const packageKey = subject && keyOfRef(subject.spec.package?.packageref, target.metadata.namespace);
    if (packageKey !== undefined) packages().touch(packageKey);
  };
  for (const cache of [caches.targets, caches.services])
    cache.addHandler({ add: ofTarget, update: ofTarget, delete: ofTarget });

  return {
    packageChanged: (key) => by('package', key),
    start: () => controller.start(),
    stop: () => controller.stop(),
  };
}

/** Environments say whether their language is known. */
export function createEnvironments({ caches, client, clock, log }: Context): Part {
  const controller = createController({
    name: 'fission-environments',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const environment = caches.environments.get(namespace, name);
      if (environment === undefined) return undefined;
      const language = languageOf(environment);
      const finding = isProblem(language)
        ? found('Ready', language)
        : {
            ...found('Ready', undefined, 'RuntimeFound'),
            message: `Runs on the runtime "${language.runtime}".`,
          };
      const { generation } = environment.metadata;
      await writeStatus(client, FISSION.environments, environment, {
        observedGeneration: generation ?? 1,
        conditions: withFindings(
          environment.status?.conditions,
          withIgnored(environment, [finding]),
          generation,
          clock.now(),
        ),
      });
      return undefined;
    },
  });
  const enqueue = (object: KubeObject) => controller.enqueue(keyOf(object));
  caches.environments.addHandler({ add: enqueue, update: enqueue });
  return { start: () => controller.start(), stop: () => controller.stop() };
}
