/** Volumes and where they are mounted, as Knative accepts them. Source: knative.dev/serving `pkg/apis/serving/k8s_validation.go`. */
import { posix } from 'node:path';
import type { FeaturesConfig } from '../../config/index.ts';
import { dns1123Label } from '../../name.ts';
import { parseQuantity } from '../../quantity.ts';
import { indexed, items, type Untyped } from '../untyped.ts';
import { badValue, join, type KnativeProblem, missing, noneOf, problem, severalOf } from './errors.ts';
import { mask } from './masks.ts';

const RESERVED_PATHS = new Set(['/', '/dev', '/dev/log']);
const PULL_POLICIES = ['', 'Always', 'IfNotPresent', 'Never'];

/** Source of a volume → the feature that has to be on, and how upstream names it when it is not. */
const FLAGGED: [source: string, feature: keyof FeaturesConfig, name: string][] = [
  ['image', 'imageVolumes', 'Image'],
  ['emptyDir', 'emptyDir', 'EmptyDir'],
  ['hostPath', 'hostPath', 'HostPath'],
  ['csi', 'csiVolumes', 'CSI'],
  ['ephemeral', 'ephemeralVolumes', 'Ephemeral'],
];
/** In the order in which a volume without any is told of them. */
const SOURCES: [source: string, feature?: keyof FeaturesConfig][] = [
  ['secret'],
  ['configMap'],
  ['projected'],
  ['emptyDir', 'emptyDir'],
  ['persistentVolumeClaim', 'persistentVolumeClaim'],
  ['hostPath', 'hostPath'],
  ['csi', 'csiVolumes'],
  ['ephemeral', 'ephemeralVolumes'],
  ['image', 'imageVolumes'],
];
/** Volumes that may be written to; all others are mounted read-only. */
export const WRITABLE_SOURCES = ['emptyDir', 'persistentVolumeClaim', 'ephemeral'];

/** `volumes` of a pod spec. `mounted` are the names that any container mounts. */
export function validateVolumes(
  volumes: Untyped,
  path: string,
  mounted: Set<string>,
  features: FeaturesConfig,
): KnativeProblem[] {
  const seen = new Set<string>();
  return indexed(volumes, path).flatMap(([at, volume]) => {
    const problems: KnativeProblem[] = [];
    const shown = JSON.stringify(volume.name ?? '');
    if (seen.has(volume.name)) problems.push(problem(`duplicate volume name ${shown}`, join(at, 'name')));
    seen.add(volume.name);
    if (!mounted.has(volume.name)) {
      problems.push(problem(`volume with name ${shown} not mounted`, join(at, 'name')));
    }
    return [...problems, ...validateVolume(volume, at, features)];
  });
}

function validateVolume(volume: Untyped, at: string, features: FeaturesConfig): KnativeProblem[] {
  const named: KnativeProblem[] = [];
  if (!volume.name) named.push(missing(join(at, 'name')));
  else if (dns1123Label(volume.name).length > 0) named.push(badValue(volume.name, join(at, 'name')));
  else named.push(...validateFlags(volume, features));
  const given = SOURCES.map(([source]) => source).filter((source) => volume[source]);
  const problems = [...named, ...mask('Volume', volume, at, features)];
  for (const source of given) problems.push(...(SOURCE_RULES[source]?.(volume[source], at) ?? []));
  if (given.length === 0) {
    const offered = SOURCES.filter(([, feature]) => feature === undefined || features[feature] === 'Enabled');
    problems.push(noneOf(...offered.map(([source]) => join(at, source))));
  }
  if (given.length > 1) problems.push(severalOf(...given.map((source) => join(at, source))));
  return problems;
}

/** What is switched off is told without a path. */
function validateFlags(volume: Untyped, features: FeaturesConfig): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const claim = volume.persistentVolumeClaim;
  if (claim && features.persistentVolumeClaim !== 'Enabled') {
    problems.push(
      problem(
        `Persistent volume claim support is disabled, but found persistent volume claim ${claim.claimName}`,
      ),
    );
  }
  if (claim && !claim.readOnly && features.persistentVolumeWrite !== 'Enabled') {
    problems.push(
      problem(
        `Persistent volume write support is disabled, but found persistent volume claim ${claim.claimName} that is not read-only`,
      ),
    );
  }
  for (const [source, feature, name] of FLAGGED) {
    if (!volume[source] || features[feature] === 'Enabled') continue;
    problems.push(problem(`${name} volume support is disabled, but found ${name} volume ${volume.name}`));
  }
  return problems;
}

/** Upstream leaves the name of the source out of the paths of items. */
const validateItems = (list: Untyped, at: string): KnativeProblem[] =>
  indexed(list, join(at, 'items')).flatMap(([path, item]) => required(item, ['key', 'path'], path));

const required = (object: Untyped, fields: string[], path: string): KnativeProblem[] =>
  fields.filter((field) => !object[field]).map((field) => missing(join(path, field)));

const SOURCE_RULES: Record<string, (source: Untyped, at: string) => KnativeProblem[]> = {
  secret: (source, at) => validateItems(source.items, at),
  configMap: (source, at) => validateItems(source.items, at),
  projected: (source, at) =>
    indexed(source.sources, join(at, 'projected')).flatMap(([path, projection]) =>
      validateProjection(projection, path),
    ),
  emptyDir: (source, at) => [
    ...(source.medium && source.medium !== 'Memory'
      ? [badValue(source.medium, join(at, 'emptyDir.medium'))]
      : []),
    ...(source.sizeLimit !== undefined && parseQuantity(source.sizeLimit) < 0
      ? [badValue(source.sizeLimit, join(at, 'emptyDir.sizeLimit'))]
      : []),
  ],
  image: (source, at) => [
    ...required(source, ['reference'], join(at, 'image')),
    ...(PULL_POLICIES.includes(source.pullPolicy ?? '')
      ? []
      : [badValue(source.pullPolicy, join(at, 'image.pullPolicy'))]),
  ],
};

const PROJECTIONS: Record<string, (source: Untyped, at: string) => KnativeProblem[]> = {
  secret: (source, at) => [...required(source, ['name'], at), ...validateItems(source.items, at)],
  configMap: (source, at) => [...required(source, ['name'], at), ...validateItems(source.items, at)],
  serviceAccountToken: (source, at) => required(source, ['path'], at),
  downwardAPI: (source, at) =>
    indexed(source.items, join(at, 'items')).flatMap(([path, item]) => {
      const refs = ['fieldRef', 'resourceFieldRef'];
      const given = refs.filter((ref) => item[ref]);
      const problems = required(item, ['path'], path);
      if (given.length === 0) problems.push(noneOf(...refs.map((ref) => join(path, ref))));
      if (given.length === 2) {
        problems.push({
          message: 'Within a single item, cannot set both',
          paths: refs.map((ref) => join(path, ref)),
        });
      }
      return problems;
    }),
};

function validateProjection(projection: Untyped, path: string): KnativeProblem[] {
  const all = Object.keys(PROJECTIONS);
  const given = all.filter((source) => projection[source]);
  const problems = given.flatMap(
    (source) => PROJECTIONS[source]?.(projection[source], join(path, source)) ?? [],
  );
  if (given.length === 0) problems.push(noneOf(...all.map((source) => join(path, source))));
  if (given.length > 1) problems.push(severalOf(...given.map((source) => join(path, source))));
  return problems;
}

/** `volumeMounts` of a container, against the pod's volumes by name. */
export function validateMounts(
  mounts: Untyped,
  path: string,
  volumes: Map<string, Untyped>,
  features: FeaturesConfig,
): KnativeProblem[] {
  const seen = new Set<string>();
  return indexed(mounts, path).flatMap(([at, mount]) => {
    const problems = mask('VolumeMount', mount, at, features);
    const volume = volumes.get(mount.name);
    if (volume === undefined) problems.push(problem('volumeMount has no matching volume', join(at, 'name')));
    problems.push(...validateMountPath(mount.mountPath ?? '', join(at, 'mountPath'), seen));
    if (!WRITABLE_SOURCES.some((source) => volume?.[source]) && !mount.readOnly) {
      problems.push(problem('volume mount should be readOnly for this type of volume', join(at, 'readOnly')));
    }
    if (volume?.persistentVolumeClaim?.readOnly && !mount.readOnly) {
      problems.push(problem('volume is readOnly but volume mount is not', join(at, 'readOnly')));
    }
    return [...problems, ...validatePropagation(mount, at, features)];
  });
}

function validateMountPath(mountPath: string, at: string, seen: Set<string>): KnativeProblem[] {
  const clean = posix.normalize(mountPath).replace(/(.)\/$/, '$1');
  const again = seen.has(clean);
  seen.add(clean);
  if (mountPath === '') return [missing(at)];
  if (RESERVED_PATHS.has(clean)) {
    return [problem(`mountPath ${JSON.stringify(clean)} is a reserved path`, at)];
  }
  if (!clean.startsWith('/')) return [badValue(mountPath, at)];
  return again ? [badValue(`${JSON.stringify(mountPath)} must be unique`, at)] : [];
}

function validatePropagation(mount: Untyped, at: string, features: FeaturesConfig): KnativeProblem[] {
  if (!mount.mountPropagation) return [];
  const problems: KnativeProblem[] = [];
  if (features.mountPropagation !== 'Enabled') {
    problems.push(
      problem(
        `Volume Mount Propagation support is disabled, but found volume mount ${mount.name} with mount propagation`,
      ),
    );
  }
  if (!['None', 'HostToContainer'].includes(mount.mountPropagation)) {
    problems.push(
      problem('mount propagation should be set to None or HostToContainer', join(at, 'mountPropagation')),
    );
  }
  return problems;
}

/** Names of the volumes that any of the containers mounts. */
export const mountedVolumes = (containers: Untyped[]): Set<string> =>
  new Set(containers.flatMap((container) => items(container.volumeMounts).map((mount) => mount.name)));
