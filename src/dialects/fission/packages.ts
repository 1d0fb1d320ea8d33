/** Packages: their archives go to the package store, and what became of them into their status. */
import { timestamp } from '../../base/clock.ts';
import type { Condition } from '../../kinds/object.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, splitKey } from '../../kube/indexed-store.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import type { Archives, Stored } from './archives.ts';
import { keyOfRef } from './caches.ts';
import { type Finding, found, withFindings } from './conditions.ts';
import { BEHIND_MS, type Context, exists, type Part, writeStatus } from './context.ts';
import { languageOf } from './languages.ts';
import { type Archive, FISSION, isProblem, type Package, type Problem } from './model.ts';
import { type Code, translatedName } from './parts.ts';

export interface Packages extends Part {
  /** The code of a package; undefined while it is not known. */
  code(key: string): Code | Problem | undefined;
  /** What stands for a function of this package has changed. */
  touch(key: string): void;
}

interface Known {
  /** What was stored: the same again is not read again. */
  of: string;
  /** Of the package that it was read from. */
  generation: number | undefined;
  result: Code | Problem;
}

const isGiven = (archive: Archive | undefined): archive is Archive =>
  Boolean(archive && (archive.literal || archive.url || archive.oci));

/** On a Petrel Function: another value has it built again. */
const REBUILD_ANNOTATION = 'petrel.dev/rebuild';

/** Reasons that pass by themselves, and when to look again, ms. */
const PASSING: ReadonlySet<string> = new Set(['NotReady', 'DownloadFailed']);
const AGAIN_MS = 60_000;

type Build = Pick<NonNullable<Package['status']>, 'buildstatus' | 'buildlog'>;

const PHASES: Record<string, string> = {
  Pending: 'pending',
  Running: 'running',
  Succeeded: 'succeeded',
  Failed: 'failed',
};

/** `onCode`: the code of the package behind the key is known now, or has become another. */
export function createPackages(
  context: Context,
  archives: Archives,
  onCode: (key: string) => void,
): Packages {
  const { caches, client, clock, log } = context;
  const known = new Map<string, Known>();

  /** Undefined: the cache does not show yet what it needs. */
  const resolve = async (pkg: Package): Promise<Code | Problem | undefined> => {
    const { spec, metadata } = pkg;
    const key = keyOf(pkg);
    const environmentKey = keyOfRef(spec.environment, metadata.namespace);
    const { namespace, name } = splitKey(environmentKey ?? 'default/');
    const environment = environmentKey === undefined ? undefined : caches.environments.get(namespace, name);
    if (environment === undefined) {
      if (environmentKey !== undefined && (await exists(client, FISSION.environments, namespace, name)))
        return undefined;
      const said =
        environmentKey === undefined
          ? 'names no Environment'
          : `names the Environment "${name}", which does not exist`;
      return { reason: 'EnvironmentNotFound', message: `The Package ${said}.` };
    }
    const language = languageOf(environment);
    if (isProblem(language)) return language;
    const source = !isGiven(spec.deployment);
    const archive = source ? spec.source : spec.deployment;
    if (!isGiven(archive))
      return { reason: 'EmptyPackage', message: 'Both deploy and source archive are empty' };
    const command = spec.buildcmd || environment.spec.builder?.command;
    const of = JSON.stringify([archive, language.file, source, command]);
    const before = known.get(key);
    if (
      before?.of === of &&
      !isProblem(before.result) &&
      (await context.packages.stat(before.result.digest))
    ) {
      known.set(key, { ...before, generation: metadata.generation });
      return before.result;
    }
    const stored: Stored | Problem = await archives.store(archive, language, metadata.namespace ?? 'default');
    const result: Code | Problem = isProblem(stored)
      ? stored
      : {
          ...stored,
          source,
          ...(command ? { buildCommand: command } : {}),
          has: await archives.has(stored.digest),
        };
    known.set(key, { of, generation: metadata.generation, result });
    return result;
  };

  /** What stands for the functions and versions that use a package. */
  const targetsOf = (key: string) =>
    [...caches.functions.byIndex('package', key), ...caches.versions.byIndex('package', key)].flatMap(
      ({ metadata }) => {
        const target = caches.targets.get(metadata.namespace, translatedName(metadata.name));
        return target === undefined ? [] : [target];
      },
    );

  /** A source package is built for the first function that uses it; the result counts for all. */
  const buildOf = (key: string, code: Code | Problem): Build => {
    if (isProblem(code)) return { buildstatus: 'failed', buildlog: code.message };
    if (!code.source) return { buildstatus: 'none' };
    const targets = targetsOf(key).filter(({ spec }) => spec.package?.digest === code.digest);
    const builds = targets.flatMap(({ status }) => (status?.build ? [status.build] : []));
    const build = builds.find(({ phase }) => phase === 'Succeeded') ?? builds[0];
    if (build) {
      const buildstatus = PHASES[build.phase] ?? 'pending';
      return { buildstatus, ...(build.message ? { buildlog: build.message } : {}) };
    }
    const ready = (conditions: Condition[] | undefined) =>
      conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    return { buildstatus: targets.some(({ status }) => ready(status?.conditions)) ? 'succeeded' : 'pending' };
  };

  const findings = (code: Code | Problem, { buildstatus, buildlog }: Build): Finding[] => {
    if (isProblem(code)) return [found('Ready', code)];
    if (!code.source) return [found('Ready', undefined, 'Deployable')];
    if (buildstatus === 'succeeded')
      return [found('BuildSucceeded', undefined, 'Built'), found('Ready', undefined, 'Built')];
    if (buildstatus === 'failed') {
      const problem = { reason: 'BuildFailed', message: buildlog ?? 'The build failed.' };
      return [found('BuildSucceeded', problem), found('Ready', problem)];
    }
    const waiting = {
      status: 'Unknown' as const,
      reason: 'Building',
      message: 'It is built with the first function that uses it.',
    };
    return [
      { type: 'BuildSucceeded', ...waiting },
      { type: 'Ready', ...waiting },
    ];
  };

  /** `pkg rebuild` sets a package that has been built back to `pending`. */
  const isAskedAgain = ({ status }: Package, code: Code | Problem): boolean =>
    !isProblem(code) &&
    code.source &&
    status?.buildstatus === 'pending' &&
    (status.conditions ?? []).some((c) => c.type === 'BuildSucceeded' && c.status !== 'Unknown');

  const rebuild = async (key: string): Promise<Build> => {
    const metadata = { annotations: { [REBUILD_ANNOTATION]: timestamp(clock.now()) } };
    for (const { metadata: target } of targetsOf(key))
      await client.patch(FUNCTIONS, target.namespace, target.name, 'merge', { metadata });
    return { buildstatus: 'pending' };
  };

  const controller = createController({
    name: 'fission-packages',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const pkg = caches.packages.get(namespace, name);
      if (pkg === undefined) {
        known.delete(key);
        return undefined;
      }
      const before = JSON.stringify([known.get(key)?.generation, known.get(key)?.result]);
      const code = await resolve(pkg);
      if (code === undefined) return BEHIND_MS;
      if (isProblem(code)) known.set(key, { of: '', generation: pkg.metadata.generation, result: code });
      if (before !== JSON.stringify([pkg.metadata.generation, code])) onCode(key);
      const build = isAskedAgain(pkg, code) ? await rebuild(key) : buildOf(key, code);
      const conditions = withFindings(
        pkg.status?.conditions,
        findings(code, build),
        pkg.metadata.generation,
        clock.now(),
      );
      const contentHash = isProblem(code) ? pkg.status?.contentHash : code.digest;
      const same = pkg.status?.buildstatus === build.buildstatus && pkg.status?.contentHash === contentHash;
      await writeStatus(client, FISSION.packages, pkg, {
        ...build,
        ...(contentHash ? { contentHash } : {}),
        lastUpdateTimestamp: same ? (pkg.status?.lastUpdateTimestamp ?? null) : timestamp(clock.now()),
        conditions,
      });
      return isProblem(code) && PASSING.has(code.reason) ? AGAIN_MS : undefined;
    },
  });

  const enqueue = (pkg: Package) => controller.enqueue(keyOf(pkg));
  caches.packages.addHandler({ add: enqueue, update: enqueue, delete: enqueue });
  const ofEnvironment = (environment: { metadata: Package['metadata'] }) => {
    for (const pkg of caches.packages.byIndex('environment', keyOf(environment as Package))) enqueue(pkg);
  };
  caches.environments.addHandler({ add: ofEnvironment, update: ofEnvironment, delete: ofEnvironment });

  return {
    code(key) {
      const { namespace, name } = splitKey(key);
      const found = known.get(key);
      const { generation } = caches.packages.get(namespace, name)?.metadata ?? {};
      return found?.generation === generation ? found?.result : undefined;
    },
    touch: (key) => controller.enqueue(key),
    start: () => controller.start(),
    stop: () => controller.stop(),
  };
}
