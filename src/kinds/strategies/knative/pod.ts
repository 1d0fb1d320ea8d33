/** What Knative accepts in a revision's pod spec. Source: knative.dev/serving `pkg/apis/serving/k8s_validation.go`. */
import type { FeaturesConfig } from '../../config/index.ts';
import { dns1123Subdomain } from '../../name.ts';
import { indexed, items, type Untyped } from '../untyped.ts';
import {
  badValue,
  join,
  type KnativeProblem,
  missing,
  noneOf,
  outOfBounds,
  problem,
  severalOf,
} from './errors.ts';
import { isImageReference } from './image.ts';
import { mask } from './masks.ts';
import { validateInitProbes, validateServingProbes, validateSidecarProbes } from './probes.ts';
import { validatePodSecurityContext, validateSecurityContext } from './security.ts';
import { mountedVolumes, validateMounts, validateVolumes } from './volumes.ts';

const RESERVED_ENV = new Set(['PORT', 'K_SERVICE', 'K_CONFIGURATION', 'K_REVISION']);
const RESERVED_PORTS = new Set([8012, 8013, 8022, 9090, 9091, 8008]);
const POLICIES = ['', 'File', 'FallbackToLogsOnError'];
const PORT_NAMES = ['', 'h2c', 'http1'];

/** The container that answers requests, another one beside it, or one that runs before them. */
type Role = 'serving' | 'sidecar' | 'init';

/** Whether the container of a pod spec is the one that answers requests. */
export const servesRequests = (spec: Untyped, container: Untyped): boolean =>
  items(spec.containers).length === 1 || items(container.ports).length > 0;

/** Problems of a RevisionSpec's pod part at `path`. */
export function validateKnativePod(spec: Untyped, path: string, features: FeaturesConfig): KnativeProblem[] {
  const containers = items(spec?.containers);
  const init = items(spec?.initContainers);
  const problems = mask('PodSpec', spec, path, features, [
    ...(spec?.automountServiceAccountToken === false ? ['automountServiceAccountToken'] : []),
    ...(features.securityContext !== 'Disabled' || features.securePodDefaults !== 'Disabled'
      ? ['securityContext']
      : []),
  ]);
  problems.push(
    ...validatePodSecurityContext(spec?.securityContext, join(path, 'securityContext'), features),
    ...validateVolumes(
      spec?.volumes,
      join(path, 'volumes'),
      mountedVolumes([...init, ...containers]),
      features,
    ),
    ...validatePortCount(containers, join(path, 'containers[*]')),
  );
  if (containers.length === 0) problems.push(missing(join(path, 'containers')));
  problems.push(...validateContainers(spec ?? {}, path, features));
  for (const message of spec?.serviceAccountName ? dns1123Subdomain(spec.serviceAccountName) : []) {
    problems.push(badValue(spec.serviceAccountName, join(path, 'serviceAccountName'), message));
  }
  return problems;
}

function validateContainers(spec: Untyped, path: string, features: FeaturesConfig): KnativeProblem[] {
  const containers = items(spec?.containers);
  const init = items(spec?.initContainers);
  const volumes = new Map<string, Untyped>(items(spec?.volumes).map((v) => [v.name, v]));
  const portName: string =
    items(containers.findLast((c) => items(c.ports).length > 0)?.ports)[0]?.name || 'http';
  const each = (list: string, taken: Set<string>, role: (container: Untyped) => Role): KnativeProblem[] =>
    indexed(spec[list], join(path, list)).flatMap(([at, container]) => {
      const problems = validateContainer(container, at, {
        role: role(container),
        portName,
        volumes,
        features,
      });
      if (taken.has(container.name)) {
        const shown = JSON.stringify(container.name ?? '');
        problems.push(problem(`duplicate container name ${shown}`, join(at, 'name')));
      }
      taken.add(container.name);
      return problems;
    });
  const problems: KnativeProblem[] = [];
  if (containers.length > 1 && features.multiContainer !== 'Enabled') {
    problems.push(problem(`multi-container is off, but found ${containers.length} containers`));
  } else {
    const role = (container: Untyped): Role => (servesRequests(spec, container) ? 'serving' : 'sidecar');
    problems.push(...each('containers', new Set(), role));
  }
  if (init.length > 0 && features.initContainers !== 'Enabled') {
    problems.push(
      problem(`pod spec support for init-containers is off, but found ${init.length} init containers`),
    );
  } else problems.push(...each('initContainers', new Set(containers.map((c) => c.name)), () => 'init'));
  return problems;
}

function validatePortCount(containers: Untyped[], path: string): KnativeProblem[] {
  const count = containers.reduce((sum, c) => sum + items(c.ports).length, 0);
  if (count === 0 && containers.length > 1) return [missing(join(path, 'ports'))];
  if (count <= 1) return [];
  return [
    problem(
      'more than one container port is set',
      join(path, 'ports'),
      'Only a single port is allowed across all containers',
    ),
  ];
}

function validateImage(image: Untyped, path: string): KnativeProblem[] {
  if (!image) return [missing(path)];
  if (isImageReference(image)) return [];
  const details = `image: ${JSON.stringify(image)}, error: could not parse reference: ${image}`;
  return [problem('Failed to parse image reference', path, details)];
}

/** What the rest of the pod spec says of a container. */
interface Surroundings {
  role: Role;
  /** Of the port that answers requests. */
  portName: string;
  volumes: Map<string, Untyped>;
  features: FeaturesConfig;
}

function validateContainer(
  container: Untyped,
  path: string,
  { role, portName, volumes, features }: Surroundings,
): KnativeProblem[] {
  const problems = mask('Container', container, path, features);
  if (role === 'serving') problems.push(...validateServingProbes(container, path, portName));
  else if (role === 'sidecar') problems.push(...validateSidecarProbes(container, path, features));
  else problems.push(...validateInitProbes(container, path));
  if (container.name === 'queue-proxy') {
    problems.push(problem('"queue-proxy" is a reserved container name', join(path, 'name')));
  }
  problems.push(
    ...validateEnv(container.env, join(path, 'env'), role, features),
    ...validateEnvFrom(container.envFrom, join(path, 'envFrom')),
    ...validateImage(container.image, join(path, 'image')),
    ...validatePorts(container.ports, join(path, 'ports'), role, features),
    ...mask('ResourceRequirements', container.resources, join(path, 'resources'), features),
    ...validateSecurityContext(container.securityContext, join(path, 'securityContext'), features),
    ...validateMounts(container.volumeMounts, join(path, 'volumeMounts'), volumes, features),
  );
  if (!POLICIES.includes(container.terminationMessagePolicy ?? '')) {
    problems.push(badValue(container.terminationMessagePolicy, join(path, 'terminationMessagePolicy')));
  }
  return problems;
}

function validateEnv(env: Untyped, path: string, role: Role, features: FeaturesConfig): KnativeProblem[] {
  return indexed(env, path).flatMap(([at, { name, valueFrom }]) => {
    const problems = mask('EnvVarSource', valueFrom, join(at, 'valueFrom'), features);
    if (!name) problems.push(missing(join(at, 'name')));
    else if (RESERVED_ENV.has(name) && (role === 'serving' || name !== 'PORT')) {
      problems.push(problem(`${JSON.stringify(name)} is a reserved environment variable`, join(at, 'name')));
    }
    return problems;
  });
}

/** Upstream names the fields here without the index of the item. */
function validateEnvFrom(envFrom: Untyped, path: string): KnativeProblem[] {
  const refs = ['configMapRef', 'secretRef'];
  const paths = refs.map((ref) => join(path, ref));
  return items(envFrom).flatMap((source) => {
    const given = refs.filter((ref) => source[ref]);
    if (given.length === 1) return [];
    return [given.length === 0 ? noneOf(...paths) : severalOf(...paths)];
  });
}

function validatePorts(ports: Untyped, path: string, role: Role, features: FeaturesConfig): KnativeProblem[] {
  const [first] = items(ports);
  if (first === undefined) return [];
  const problems = (role === 'init' ? items(ports) : [first]).flatMap((port) =>
    validatePort(port, path, features),
  );
  if (role === 'init') return problems;
  if (first.protocol && first.protocol !== 'TCP')
    problems.push(badValue(first.protocol, join(path, 'protocol')));
  if (!PORT_NAMES.includes(first.name ?? '')) {
    problems.push(
      problem(
        `Port name ${first.name} is not allowed`,
        path,
        "Name must be empty, or one of: 'h2c', 'http1'",
      ),
    );
  }
  return problems;
}

function validatePort(port: Untyped, path: string, features: FeaturesConfig): KnativeProblem[] {
  const problems = mask('ContainerPort', port, path, features);
  const number: number = port.containerPort ?? 0;
  const at = join(path, 'containerPort');
  if (RESERVED_PORTS.has(number)) {
    const reserved = `${number} is a reserved port`;
    problems.push(badValue(reserved, at, `${reserved}, please use a different value`));
  }
  if (number < 0 || number > 65535) problems.push(outOfBounds(number, 0, 65535, at));
  return problems;
}
