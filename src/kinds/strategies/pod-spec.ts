/** Rules for a pod spec. Source: kubernetes `pkg/apis/core/validation.ValidatePodSpec`, 1.32. */
import { duplicate, forbidden, invalid, notSupported, required } from '../field.ts';
import { validateLabels } from '../metadata.ts';
import { dns1123Label, dns1123Subdomain, portName } from '../name.ts';
import type { FieldError } from '../object.ts';
import {
  check,
  validateEnv,
  validateEnvFrom,
  validateMounts,
  validateResources,
  validateVolumes,
} from './pod-parts.ts';
import { indexed, items, type Untyped } from './untyped.ts';

const NOT_NEGATIVE = 'must be greater than or equal to 0';
const PORT_RANGE = 'must be between 1 and 65535, inclusive';
const isPort = (value: number): boolean => value >= 1 && value <= 65535;

/** Fields with a closed list of values. */
const SPEC_CHOICES: Record<string, string[]> = {
  restartPolicy: ['Always', 'OnFailure', 'Never'],
  dnsPolicy: ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'],
};
const CONTAINER_CHOICES: Record<string, string[]> = {
  terminationMessagePolicy: ['File', 'FallbackToLogsOnError'],
  imagePullPolicy: ['Always', 'IfNotPresent', 'Never'],
};

function validateChoices(choices: Record<string, string[]>, object: Untyped, path: string): FieldError[] {
  return Object.entries(choices).flatMap(([field, values]) => {
    const value = object[field];
    if (value === undefined || value === '') return [required(`${path}${field}`)];
    return values.includes(value) ? [] : [notSupported(`${path}${field}`, value, values)];
  });
}

function validatePort(port: number | string, path: string): FieldError[] {
  if (typeof port === 'string') return check(portName, port, path);
  return isPort(port) ? [] : [invalid(path, port ?? 0, PORT_RANGE)];
}

const HANDLERS: Record<string, (handler: Untyped, path: string) => FieldError[]> = {
  exec: (handler, path) => (items(handler.command).length === 0 ? [required(`${path}.command`)] : []),
  httpGet: (handler, path) => [
    ...(handler.path ? [] : [required(`${path}.path`)]),
    ...validatePort(handler.port, `${path}.port`),
    ...(['HTTP', 'HTTPS'].includes(handler.scheme)
      ? []
      : [notSupported(`${path}.scheme`, handler.scheme, ['HTTP', 'HTTPS'])]),
    ...indexed(handler.httpHeaders, `${path}.httpHeaders`).flatMap(([, header]) =>
      /^[-A-Za-z0-9]+$/.test(header.name)
        ? []
        : [
            invalid(
              `${path}.httpHeaders`,
              header.name,
              "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            ),
          ],
    ),
  ],
  tcpSocket: (handler, path) => validatePort(handler.port, `${path}.port`),
  grpc: (handler, path) => (isPort(handler.port) ? [] : [invalid(`${path}.port`, handler.port, PORT_RANGE)]),
  sleep: () => [],
};

function validateHandler(object: Untyped, path: string): FieldError[] {
  const given = Object.keys(HANDLERS).filter((name) => object[name]);
  const [first] = given;
  if (first === undefined) return [required(path, 'must specify a handler type')];
  return [
    ...(HANDLERS[first]?.(object[first], `${path}.${first}`) ?? []),
    ...given.slice(1).map((name) => forbidden(`${path}.${name}`, 'may not specify more than 1 handler type')),
  ];
}

const PROBE_NUMBERS = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
];

function validateProbe(
  probe: Untyped,
  kind: 'livenessProbe' | 'readinessProbe' | 'startupProbe',
  path: string,
): FieldError[] {
  if (!probe) return [];
  const errors = validateHandler(probe, path);
  for (const field of PROBE_NUMBERS) {
    if (probe[field] < 0) errors.push(invalid(`${path}.${field}`, probe[field], NOT_NEGATIVE));
  }
  if (kind !== 'readinessProbe' && probe.successThreshold !== 1) {
    errors.push(invalid(`${path}.successThreshold`, probe.successThreshold, 'must be 1'));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (kind === 'readinessProbe' && typeof grace === 'number') {
    errors.push(
      invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'),
    );
  } else if (grace <= 0) {
    errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  }
  return errors;
}

function validatePorts(ports: Untyped, path: string): FieldError[] {
  const names = new Set<string>();
  return indexed(ports, path).flatMap(([at, port]) => {
    const errors: FieldError[] = [];
    if (port.name) {
      const problems = check(portName, port.name, `${at}.name`);
      errors.push(...problems);
      if (problems.length === 0 && names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`));
    else if (!isPort(port.containerPort))
      errors.push(invalid(`${at}.containerPort`, port.containerPort, PORT_RANGE));
    if (port.hostPort && !isPort(port.hostPort))
      errors.push(invalid(`${at}.hostPort`, port.hostPort, PORT_RANGE));
    return [...errors, ...validateChoices({ protocol: ['SCTP', 'TCP', 'UDP'] }, port, `${at}.`)];
  });
}

function validateContainer(
  container: Untyped,
  path: string,
  volumes: Set<string>,
  isInit: boolean,
): FieldError[] {
  const sidecar = isInit && container.restartPolicy === 'Always';
  const errors: FieldError[] = [];
  if (!container.name) errors.push(required(`${path}.name`));
  else errors.push(...check(dns1123Label, container.name, `${path}.name`));
  if (!container.image) errors.push(required(`${path}.image`));
  errors.push(
    ...validateChoices(CONTAINER_CHOICES, container, `${path}.`),
    ...validatePorts(container.ports, `${path}.ports`),
    ...validateEnv(container.env, `${path}.env`),
    ...validateEnvFrom(container.envFrom, `${path}.envFrom`),
    ...validateMounts(container.volumeMounts, `${path}.volumeMounts`, volumes),
    ...validateResources(container.resources, `${path}.resources`),
  );
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    if (isInit && !sidecar && container[kind]) {
      errors.push(
        forbidden(`${path}.${kind}`, 'may not be set for init containers without restartPolicy=Always'),
      );
    } else errors.push(...validateProbe(container[kind], kind, `${path}.${kind}`));
  }
  if (!isInit && container.restartPolicy) {
    errors.push(forbidden(`${path}.restartPolicy`, 'may not be set for non-init containers'));
  }
  return errors;
}

/** Problems of a pod spec at `path`; defaults must be set, and types checked against the table. */
export function validatePodSpec(spec: Untyped, path: string): FieldError[] {
  const volumes = new Set<string>(items(spec?.volumes).map((v) => v.name));
  const errors = validateVolumes(spec?.volumes, `${path}.volumes`);
  if (items(spec?.containers).length === 0) errors.push(required(`${path}.containers`));
  const names = new Set<string>();
  for (const list of ['containers', 'initContainers']) {
    for (const [at, container] of indexed(spec?.[list], `${path}.${list}`)) {
      errors.push(...validateContainer(container, at, volumes, list === 'initContainers'));
      if (container.name && names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
      names.add(container.name);
    }
  }
  errors.push(...validateChoices(SPEC_CHOICES, spec ?? {}, `${path}.`));
  errors.push(...validateLabels(spec?.nodeSelector, `${path}.nodeSelector`));
  if (spec?.terminationGracePeriodSeconds < 0) {
    errors.push(
      invalid(`${path}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds, NOT_NEGATIVE),
    );
  }
  const deadline = spec?.activeDeadlineSeconds;
  if (typeof deadline === 'number' && (deadline < 1 || deadline > 2147483647)) {
    errors.push(
      invalid(`${path}.activeDeadlineSeconds`, deadline, 'must be between 1 and 2147483647, inclusive'),
    );
  }
  for (const field of ['nodeName', 'serviceAccountName', 'runtimeClassName', 'priorityClassName']) {
    if (spec?.[field]) errors.push(...check(dns1123Subdomain, spec[field], `${path}.${field}`));
  }
  return errors;
}
