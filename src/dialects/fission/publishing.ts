/** What a published version is, when there is to be another, and which may go. Pure. Source: Fission, `pkg/versioning`. */
import { createHash } from 'node:crypto';
import type { KubeObject, OwnerReference } from '../../kinds/object.ts';
import type {
  Archive,
  Environment,
  FissionFunction,
  FissionFunctionSpec,
  FunctionAlias,
  FunctionVersion,
  Package,
} from './model.ts';

/** Labels of a version: whose it is. Of an alias, the first. */
export const FUNCTION_LABEL = 'fission.io/function-name';
const UID_LABEL = 'fission.io/function-uid';
/** Of a version: the Package whose copy its snapshot names. */
const SOURCE_PACKAGE = 'fission.io/source-package';
/** Versions that are kept where the function says nothing. */
const RETAIN = 10;

/** Fields whose change makes another version: what instances are made of, or what a caller notices. */
const TELLING = [
  'environment',
  'package',
  'secrets',
  'configmaps',
  'env',
  'envFrom',
  'resources',
  'InvokeStrategy',
  'functionTimeout',
  'streaming',
  'state',
  'invocation',
  'concurrency',
  'requestsPerPod',
  'onceOnly',
  'podspec',
] as const satisfies readonly (keyof FissionFunctionSpec)[];

/** The reference of what goes with its owner. */
export const reference = ({ apiVersion, kind, metadata }: KubeObject): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid ?? '',
});

/** Without what Go's structs leave out or send empty, so that who wrote an object makes no difference. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(bare);
  if (typeof value !== 'object' || value === null)
    return value === null || value === '' || value === 0 || value === false ? undefined : value;
  const entries = Object.entries(value)
    .map(([key, one]) => [key, bare(one)] as const)
    .filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** What tells, but for the package's resource version: that is written after the package, whose digest is compared. */
function told({ package: pkg, ...spec }: FissionFunctionSpec): string {
  const { resourceversion: _, ...packageref } = pkg?.packageref ?? {};
  const compared: FissionFunctionSpec = { ...spec, package: { ...pkg, packageref } };
  return JSON.stringify(TELLING.map((field) => bare(compared[field]) ?? null));
}

/** The snapshot as the function was: its package under the name that it had there. */
function asPublished({ metadata, spec }: FunctionVersion): FissionFunctionSpec {
  const name = metadata.annotations?.[SOURCE_PACKAGE];
  const { package: pkg } = spec.snapshot;
  if (!name || !pkg) return spec.snapshot;
  return { ...spec.snapshot, package: { ...pkg, packageref: { ...pkg.packageref, name } } };
}

function digestOfArchive({ literal, checksum, oci }: Archive): string | undefined {
  if (oci?.digest) return oci.digest;
  if (checksum?.sum) return `sha256:${checksum.sum}`;
  if (!literal) return undefined;
  return `sha256:${createHash('sha256').update(Buffer.from(literal, 'base64')).digest('hex')}`;
}

/** What pins the content of a package: of its archive as the user knows it, else what the package store calls it. */
export function packageDigest({ spec, status }: Package): string | undefined {
  return (
    (spec.deployment && digestOfArchive(spec.deployment)) ??
    (spec.source && digestOfArchive(spec.source)) ??
    status?.contentHash
  );
}

/** Whether the package as it is now has code that can be served. */
export function isBuilt({ metadata, status }: Package): boolean {
  const current = status?.conditions?.some(({ observedGeneration: seen }) => seen === metadata.generation);
  return current === true && (status?.buildstatus === 'succeeded' || status?.buildstatus === 'none');
}

/** Whether the function and its package are what the version is of. */
export const isSame = (version: FunctionVersion, fn: FissionFunction, digest: string): boolean =>
  version.spec.packageDigest === digest && told(asPublished(version)) === told(fn.spec);

/** Oldest first. A function of the same name that was there before had others. */
export function versionsOf(all: readonly FunctionVersion[], fn: FissionFunction): FunctionVersion[] {
  return all
    .filter(
      ({ metadata, spec }) =>
        spec.functionName === fn.metadata.name &&
        (spec.functionUID ?? metadata.labels?.[UID_LABEL]) === fn.metadata.uid,
    )
    .sort((a, b) => a.spec.sequence - b.spec.sequence);
}

/** The next version of a function. */
export function nextVersion(
  fn: FissionFunction,
  environment: Environment,
  digest: string,
  sequence: number,
  publishedAt: string,
): FunctionVersion {
  const { name: functionName, namespace, uid = '', generation = 1 } = fn.metadata;
  const { versioning: _, package: pkg, ...rest } = fn.spec;
  const name = `${functionName}-v${sequence}`;
  const source = pkg?.packageref?.name ?? '';
  return {
    apiVersion: 'fission.io/v1',
    kind: 'FunctionVersion',
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      labels: { [FUNCTION_LABEL]: functionName, [UID_LABEL]: uid },
      annotations: { [SOURCE_PACKAGE]: source },
      ownerReferences: [reference(fn)],
    },
    spec: {
      functionName,
      functionUID: uid,
      functionGeneration: generation,
      sequence,
      // The package may change under its name: the version has a copy of its own.
      snapshot: { ...rest, package: { ...pkg, packageref: { ...pkg?.packageref, name: `${name}-pkg` } } },
      packageDigest: digest,
      envObservedGeneration: environment.metadata.generation ?? 1,
      envRuntimeImage: environment.spec.runtime.image,
      publishedAt,
    },
  };
}

/** The copy of a package that belongs to a version; undefined where the version has none of its own. */
export function snapshotPackage(version: FunctionVersion, pkg: Package): Package | undefined {
  const name = version.spec.snapshot.package?.packageref?.name;
  if (!name || !version.metadata.annotations?.[SOURCE_PACKAGE]) return undefined;
  const { namespace } = version.metadata;
  return {
    apiVersion: 'fission.io/v1',
    kind: 'Package',
    metadata: { name, ...(namespace ? { namespace } : {}), ownerReferences: [reference(version)] },
    spec: pkg.spec,
  };
}

/** Versions that may go: older than those that are kept, and no alias has them. `versions`: oldest first. */
export function outdated(
  versions: readonly FunctionVersion[],
  aliases: readonly FunctionAlias[],
  retain: number | undefined,
): FunctionVersion[] {
  const used = new Set(
    aliases.flatMap(({ spec, status }) => [spec.version, spec.secondaryVersion, status?.resolvedVersion]),
  );
  return versions.slice(0, -Math.max(1, retain ?? RETAIN)).filter(({ metadata }) => !used.has(metadata.name));
}
