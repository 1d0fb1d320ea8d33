/** Versions that are published by themselves (`versioning.mode: auto`), and the end of those that are not kept. */
import { timestamp } from '../../base/clock.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { orUndefined } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { keyOfRef, refersTo } from './caches.ts';
import type { Context, Part } from './context.ts';
import { FISSION, type FissionFunction, type FunctionVersion, type Package } from './model.ts';
import {
  FUNCTION_LABEL,
  isBuilt,
  isSame,
  nextVersion,
  outdated,
  packageDigest,
  reference,
  snapshotPackage,
  versionsOf,
} from './publishing.ts';

export function createVersions({ caches, client, clock, log }: Context): Part {
  const of = <T>(get: (namespace: string, name: string) => T, key: string | undefined): T | undefined => {
    if (key === undefined) return undefined;
    const { namespace = 'default', name } = splitKey(key);
    return get(namespace, name);
  };

  /** The version's own copy of the package; it is missing when a publication was cut short. */
  const ensurePackage = async (version: FunctionVersion, pkg: Package): Promise<void> => {
    const copy = snapshotPackage(version, pkg);
    if (copy === undefined || caches.packages.get(copy.metadata.namespace, copy.metadata.name)) return;
    const there = await orUndefined(
      client.get<Package>(FISSION.packages, copy.metadata.namespace, copy.metadata.name),
    );
    if (there === undefined) await client.create(FISSION.packages, copy);
  };

  const publish = async (fn: FissionFunction, versions: FunctionVersion[]): Promise<void> => {
    const { namespace } = fn.metadata;
    const pkg = of(caches.packages.get, keyOfRef(fn.spec.package?.packageref, namespace));
    const environment = of(caches.environments.get, keyOfRef(fn.spec.environment, namespace));
    // Both tell when they come.
    if (pkg === undefined || environment === undefined || !isBuilt(pkg)) return;
    const digest = packageDigest(pkg);
    if (digest === undefined) return;
    const newest = versions.at(-1);
    if (newest !== undefined && isSame(newest, fn, digest)) return ensurePackage(newest, pkg);
    const sequence = (newest?.spec.sequence ?? 0) + 1;
    const version = nextVersion(fn, environment, digest, sequence, timestamp(clock.now()));
    const created = await client.create<FunctionVersion>(FISSION.versions, version);
    await ensurePackage(created, pkg);
    log.info('a version was published', { function: keyOf(fn), version: created.metadata.name });
  };

  /** An alias goes with its function, also one that was applied as YAML. */
  const adopt = async (fn: FissionFunction): Promise<void> => {
    const { namespace, name, uid } = fn.metadata;
    for (const alias of caches.aliases.byIndex('refers', refersTo('Function', namespace, name))) {
      const { ownerReferences: owners = [], labels } = alias.metadata;
      if (owners.some((owner) => owner.uid === uid)) continue;
      const others = owners.filter(({ kind, name: of }) => kind !== 'Function' || of !== name);
      const metadata = {
        ...alias.metadata,
        labels: { ...labels, [FUNCTION_LABEL]: name },
        ownerReferences: [...others, reference(fn)],
      };
      await client.update(FISSION.aliases, { ...alias, metadata });
    }
  };

  const controller = createController({
    name: 'fission-versions',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const fn = caches.functions.get(namespace, name);
      if (fn === undefined || fn.metadata.deletionTimestamp) return undefined;
      await adopt(fn);
      const { versioning } = fn.spec;
      if (!versioning) return undefined;
      const versions = versionsOf(caches.versions.list(namespace), fn);
      if (versioning.mode !== 'manual') await publish(fn, versions);
      for (const { metadata } of outdated(versions, caches.aliases.list(namespace), versioning.retain))
        await orUndefined(
          client.delete(FISSION.versions, namespace, metadata.name, {
            preconditions: { uid: metadata.uid ?? '' },
          }),
        );
      return undefined;
    },
  });

  const enqueue = (object: KubeObject) => controller.enqueue(keyOf(object));
  const ofName = ({ metadata, spec }: KubeObject & { spec: { functionName: string } }) =>
    controller.enqueue(`${metadata.namespace}/${spec.functionName}`);
  const ofPackage = (pkg: KubeObject) => {
    for (const fn of caches.functions.byIndex('package', keyOf(pkg))) enqueue(fn);
  };
  const ofEnvironment = (environment: KubeObject) => {
    for (const fn of caches.functions.byIndex('environment', keyOf(environment))) enqueue(fn);
  };
  caches.functions.addHandler({ add: enqueue, update: enqueue });
  caches.packages.addHandler({ add: ofPackage, update: ofPackage });
  caches.environments.addHandler({ add: ofEnvironment });
  caches.versions.addHandler({ add: ofName, delete: ofName });
  caches.aliases.addHandler({ add: ofName, update: ofName, delete: ofName });
  return { start: () => controller.start(), stop: () => controller.stop() };
}
