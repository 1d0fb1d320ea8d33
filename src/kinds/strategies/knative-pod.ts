/** What Knative accepts in a revision's pod spec. Source: knative.dev/serving `pkg/apis/serving/{k8s_validation,fieldmask}.go`. */
import { posix } from 'node:path';
import { dns1123Label, dns1123Subdomain } from '../name.ts';
import {
  badValue,
  disallowed,
  join,
  type KnativeProblem,
  missing,
  noneOf,
  outOfBounds,
  problem,
  severalOf,
} from './knative-errors.ts';
import { indexed, items, type Untyped } from './untyped.ts';

const words = (text: string): Set<string> => new Set(text.split(' '));

/** Fields that may be set; all others are refused. Of what Knative puts behind flags, `runtimeClassName`, init containers and `fieldRef` are on. */
const POD_FIELDS = words(
  'containers initContainers serviceAccountName volumes imagePullSecrets enableServiceLinks automountServiceAccountToken runtimeClassName containerConcurrency timeoutSeconds responseStartTimeoutSeconds idleTimeoutSeconds',
);
const CONTAINER_FIELDS = words(
  'name args command env workingDir envFrom image imagePullPolicy livenessProbe ports readinessProbe resources securityContext startupProbe terminationMessagePath terminationMessagePolicy volumeMounts',
);
const SECURITY_FIELDS = words(
  'capabilities readOnlyRootFilesystem runAsUser runAsGroup runAsNonRoot allowPrivilegeEscalation seccompProfile',
);
const PORT_FIELDS = words('containerPort name protocol');
const VOLUME_SOURCES = ['secret', 'configMap', 'projected', 'emptyDir'];
const RESERVED_ENV = words('PORT K_SERVICE K_CONFIGURATION K_REVISION');
const RESERVED_PATHS = words('/ /dev /dev/log');
const RESERVED_PORTS = new Set([8012, 8013, 8022, 9090, 9091, 8008]);
const MAX_INT32 = 2147483647;

function mask(object: Untyped, allowed: Set<string>, path: string): KnativeProblem[] {
  const extra = Object.keys(object ?? {}).filter((key) => !allowed.has(key) && object[key] !== null);
  return extra.length === 0 ? [] : [disallowed(...extra.map((key) => join(path, key)))];
}

/** Problems of a RevisionSpec's pod part at `path`. */
export function validateKnativePod(spec: Untyped, path: string): KnativeProblem[] {
  const containers = items(spec?.containers);
  const problems = mask(spec, POD_FIELDS, path);
  problems.push(...validateVolumes(spec, join(path, 'volumes')));
  problems.push(...validatePortCount(containers, join(path, 'containers[*]')));
  if (containers.length === 0) problems.push(missing(join(path, 'containers')));
  const volumes = new Map<string, Untyped>(items(spec?.volumes).map((v) => [v.name, v]));
  const names = new Set<string>();
  for (const list of ['containers', 'initContainers']) {
    for (const [at, container] of indexed(spec?.[list], join(path, list))) {
      if (names.has(container.name)) {
        problems.push(
          problem(`duplicate container name ${JSON.stringify(container.name)}`, join(at, 'name')),
        );
      }
      names.add(container.name);
      const serves = list === 'containers' && (containers.length === 1 || items(container.ports).length > 0);
      problems.push(...validateContainer(container, at, volumes, serves));
    }
  }
  if (spec?.serviceAccountName) {
    for (const message of dns1123Subdomain(spec.serviceAccountName)) {
      problems.push(badValue(spec.serviceAccountName, join(path, 'serviceAccountName'), message));
    }
  }
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

/** An image reference: `[host[:port]/]path[:tag][@digest]`. */
const IMAGE =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$/;

function validateContainer(
  container: Untyped,
  path: string,
  volumes: Map<string, Untyped>,
  serves: boolean,
): KnativeProblem[] {
  const problems = mask(container, CONTAINER_FIELDS, path);
  if (container.name === 'queue-proxy') {
    problems.push(problem('"queue-proxy" is a reserved container name', join(path, 'name')));
  }
  if (!container.image) problems.push(missing(join(path, 'image')));
  else if (!IMAGE.test(container.image)) {
    problems.push(
      problem(
        'Failed to parse image reference',
        join(path, 'image'),
        `image: ${JSON.stringify(container.image)}, error: could not parse reference: ${container.image}`,
      ),
    );
  }
  problems.push(
    ...validateEnv(container, path, serves),
    ...validatePorts(container.ports, join(path, 'ports')),
    ...validateMounts(container.volumeMounts, join(path, 'volumeMounts'), volumes),
    ...validateSecurity(container.securityContext, join(path, 'securityContext')),
  );
  const portName: string = items(container.ports)[0]?.name || 'http';
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    if (!container[kind]) continue;
    problems.push(...validateHandler(container[kind], join(path, kind), serves ? portName : undefined));
    if (kind === 'readinessProbe') problems.push(...validateTimes(container[kind], join(path, kind)));
  }
  const policy = container.terminationMessagePolicy;
  if (policy && policy !== 'File' && policy !== 'FallbackToLogsOnError') {
    problems.push(badValue(policy, join(path, 'terminationMessagePolicy')));
  }
  return problems;
}

function validateEnv(container: Untyped, path: string, serves: boolean): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  for (const [at, { name }] of indexed(container.env, join(path, 'env'))) {
    if (!name) problems.push(missing(join(at, 'name')));
    else if (RESERVED_ENV.has(name) && (serves || name !== 'PORT')) {
      problems.push(problem(`${JSON.stringify(name)} is a reserved environment variable`, join(at, 'name')));
    }
  }
  for (const [at, source] of indexed(container.envFrom, join(path, 'envFrom'))) {
    const refs = ['configMapRef', 'secretRef'];
    const given = refs.filter((ref) => source[ref]);
    if (given.length === 0) problems.push(noneOf(...refs.map((ref) => join(at, ref))));
    else if (given.length > 1) problems.push(severalOf(...refs.map((ref) => join(at, ref))));
  }
  return problems;
}

function validatePorts(ports: Untyped, path: string): KnativeProblem[] {
  const [port] = items(ports);
  if (port === undefined) return [];
  const problems = mask(port, PORT_FIELDS, path);
  const number: number = port.containerPort ?? 0;
  if (RESERVED_PORTS.has(number)) {
    problems.push(
      badValue(
        `${number} is a reserved port`,
        join(path, 'containerPort'),
        `${number} is a reserved port, please use a different value`,
      ),
    );
  }
  if (number < 0 || number > 65535) problems.push(outOfBounds(number, 0, 65535, join(path, 'containerPort')));
  if (port.protocol && port.protocol !== 'TCP')
    problems.push(badValue(port.protocol, join(path, 'protocol')));
  if (port.name && port.name !== 'h2c' && port.name !== 'http1') {
    problems.push(
      problem(`Port name ${port.name} is not allowed`, path, "Name must be empty, or one of: 'h2c', 'http1'"),
    );
  }
  return problems;
}

function validateMounts(mounts: Untyped, path: string, volumes: Map<string, Untyped>): KnativeProblem[] {
  const seen = new Set<string>();
  return indexed(mounts, path).flatMap(([at, mount]) => {
    const problems: KnativeProblem[] = [];
    if (!volumes.has(mount.name))
      problems.push(problem('volumeMount has no matching volume', join(at, 'name')));
    const clean = posix.normalize(mount.mountPath ?? '').replace(/(.)\/$/, '$1');
    if (!mount.mountPath) problems.push(missing(join(at, 'mountPath')));
    else if (RESERVED_PATHS.has(clean)) {
      problems.push(problem(`mountPath ${JSON.stringify(clean)} is a reserved path`, join(at, 'mountPath')));
    } else if (!clean.startsWith('/')) problems.push(badValue(mount.mountPath, join(at, 'mountPath')));
    else if (seen.has(clean)) {
      problems.push(badValue(`${JSON.stringify(mount.mountPath)} must be unique`, join(at, 'mountPath')));
    }
    seen.add(clean);
    return problems;
  });
}

function validateVolumes(spec: Untyped, path: string): KnativeProblem[] {
  const mounted = new Set<string>(
    [...items(spec?.containers), ...items(spec?.initContainers)].flatMap((c) =>
      items(c.volumeMounts).map((m) => m.name),
    ),
  );
  const seen = new Set<string>();
  return indexed(spec?.volumes, path).flatMap(([at, volume]) => {
    const problems: KnativeProblem[] = [];
    const shown = JSON.stringify(volume.name ?? '');
    if (seen.has(volume.name)) problems.push(problem(`duplicate volume name ${shown}`, join(at, 'name')));
    seen.add(volume.name);
    if (!mounted.has(volume.name))
      problems.push(problem(`volume with name ${shown} not mounted`, join(at, 'name')));
    if (!volume.name) problems.push(missing(join(at, 'name')));
    else if (dns1123Label(volume.name).length > 0) problems.push(badValue(volume.name, join(at, 'name')));
    problems.push(...mask(volume, new Set(['name', ...VOLUME_SOURCES]), at));
    const given = VOLUME_SOURCES.filter((source) => volume[source]);
    if (given.length === 0) problems.push(noneOf(...VOLUME_SOURCES.map((source) => join(at, source))));
    if (given.length > 1) problems.push(severalOf(...given.map((source) => join(at, source))));
    return problems;
  });
}

function validateSecurity(context: Untyped, path: string): KnativeProblem[] {
  if (!context) return [];
  const problems = mask(
    context,
    context.privileged === false ? new Set([...SECURITY_FIELDS, 'privileged']) : SECURITY_FIELDS,
    path,
  );
  if (items(context.capabilities?.add).length > 0) problems.push(disallowed(join(path, 'capabilities.add')));
  for (const field of ['runAsUser', 'runAsGroup']) {
    const id = context[field];
    if (typeof id === 'number' && (id < 0 || id > MAX_INT32)) {
      problems.push(outOfBounds(id, 0, MAX_INT32, join(path, field)));
    }
  }
  return problems;
}

const HANDLERS = ['httpGet', 'tcpSocket', 'exec', 'grpc'];

function validateHandler(probe: Untyped, path: string, portName: string | undefined): KnativeProblem[] {
  const given = HANDLERS.filter((handler) => probe[handler]);
  const problems: KnativeProblem[] = [];
  for (const handler of ['httpGet', 'tcpSocket']) {
    const port: string | number | undefined = probe[handler]?.port;
    if (!probe[handler]) continue;
    const at = join(path, `${handler}.port`);
    if (portName !== undefined && typeof port === 'string' && port !== '' && port !== portName) {
      problems.push(badValue(port, at, 'Probe port must match container port'));
    } else if (portName === undefined && !port)
      problems.push(badValue(port ?? 0, at, 'Probe port must be specified'));
  }
  if (given.length === 0) problems.push(noneOf(...HANDLERS.map((handler) => join(path, handler))));
  if (given.length > 1) problems.push(severalOf(...given.map((handler) => join(path, handler))));
  return problems;
}

function validateTimes(probe: Untyped, path: string): KnativeProblem[] {
  const bound = (field: string, low: number): KnativeProblem[] =>
    (probe[field] ?? 0) < low ? [outOfBounds(probe[field] ?? 0, low, MAX_INT32, join(path, field))] : [];
  const problems = [
    ...bound('periodSeconds', 0),
    ...bound('initialDelaySeconds', 0),
    ...bound('successThreshold', 1),
  ];
  if (probe.periodSeconds)
    return [...problems, ...bound('timeoutSeconds', 1), ...bound('failureThreshold', 1)];
  for (const field of ['failureThreshold', 'timeoutSeconds']) {
    if (probe[field])
      problems.push(problem(`${field} is disallowed when periodSeconds is zero`, join(path, field)));
  }
  return problems;
}
