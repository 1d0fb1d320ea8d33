/** Security contexts as Knative accepts, fills in and warns of them. Source: knative.dev/serving `pkg/apis/serving/{k8s_validation,fieldmask}.go`. */
import type { FeaturesConfig } from '../../config/index.ts';
import { indexed, items, type Untyped } from '../untyped.ts';
import { badValue, disallowed, join, type KnativeProblem, outOfBounds, problem } from './errors.ts';
import { extraFields, mask } from './masks.ts';

const MAX_ID = 2147483647;
const SECCOMP_TYPES = ['RuntimeDefault', 'Unconfined'];

const isSecure = ({ securePodDefaults }: FeaturesConfig): boolean => securePodDefaults !== 'Disabled';

function validateIds(context: Untyped, fields: string[], path: string): KnativeProblem[] {
  return fields.flatMap((field) => {
    const id = context[field];
    return typeof id === 'number' && (id < 0 || id > MAX_ID)
      ? [outOfBounds(id, 0, MAX_ID, join(path, field))]
      : [];
  });
}

/** `securityContext` of a container. */
export function validateSecurityContext(
  context: Untyped,
  path: string,
  features: FeaturesConfig,
): KnativeProblem[] {
  if (!context) return [];
  const problems = mask(
    'SecurityContext',
    context,
    path,
    features,
    context.privileged === false ? ['privileged'] : [],
  );
  const added = items(context.capabilities?.add);
  const portsOnly = added.length === 1 && added[0] === 'NET_BIND_SERVICE';
  if (added.length > 0 && features.addCapabilities !== 'Enabled' && !(isSecure(features) && portsOnly)) {
    problems.push(disallowed(join(path, 'capabilities.add')));
  }
  return [...problems, ...validateIds(context, ['runAsUser', 'runAsGroup'], path)];
}

/** `securityContext` of the pod. */
export function validatePodSecurityContext(
  context: Untyped,
  path: string,
  features: FeaturesConfig,
): KnativeProblem[] {
  if (!context) return [];
  const more =
    isSecure(features) && SECCOMP_TYPES.includes(context.seccompProfile?.type) ? ['seccompProfile'] : [];
  const extra = extraFields('PodSecurityContext', context, features, more);
  return [
    ...(extra.length === 0 ? [] : [disallowed(...extra.map((field) => join(path, field)))]),
    ...validateIds(context, ['runAsUser', 'runAsGroup', 'fsGroup'], path),
    ...indexed(context.supplementalGroups, join(path, 'supplementalGroups')).flatMap(([at, id]) =>
      id < 0 || id > MAX_ID ? [outOfBounds(id, 0, MAX_ID, at)] : [],
    ),
  ];
}

const INSECURE =
  'Kubernetes default value is insecure, Knative may default this to secure in a future release';

/** What of the containers of a pod spec at `path` is left at values of Kubernetes that are known to be insecure. */
export function warnSecurity(spec: Untyped, path: string, features: FeaturesConfig): KnativeProblem[] {
  if (isSecure(features)) return [];
  return ['containers', 'initContainers'].flatMap((list) =>
    indexed(spec?.[list], join(path, list)).flatMap(([at, container]) =>
      warnContainer(spec.securityContext ?? {}, container.securityContext ?? {}, join(at, 'securityContext')),
    ),
  );
}

function warnContainer(pod: Untyped, context: Untyped, path: string): KnativeProblem[] {
  const absent = (value: Untyped): boolean => value === undefined || value === null;
  const found: string[] = [];
  if (absent(pod.runAsNonRoot) && absent(context.runAsNonRoot)) found.push('runAsNonRoot');
  if (absent(context.allowPrivilegeEscalation)) found.push('allowPrivilegeEscalation');
  if (!context.seccompProfile && !pod.seccompProfile) found.push('seccompProfile');
  else if (!context.seccompProfile?.type && !pod.seccompProfile?.type) found.push('seccompProfile.type');
  if (!context.capabilities) found.push('capabilities');
  else if (!context.capabilities.drop) found.push('capabilities.drop');
  const problems = found.map((field) => problem(INSECURE, join(path, field)));
  if (items(context.capabilities?.drop)[0] === 'all') {
    problems.push(badValue('all', join(path, 'capabilities.drop'), "Must be spelled as 'ALL'"));
  }
  return problems;
}

/** Fills in what the `restricted` profile asks for, where `secure-pod-defaults` says so. */
export function defaultSecurityContext(pod: Untyped, container: Untyped, features: FeaturesConfig): void {
  if (!isSecure(features)) return;
  const context = container.securityContext ?? {};
  context.allowPrivilegeEscalation ??= false;
  if (!pod?.seccompProfile?.type) {
    context.seccompProfile ??= {};
    context.seccompProfile.type ||= 'RuntimeDefault';
  }
  if (!context.capabilities) {
    const low = items(container.ports).some((port) => (port.containerPort ?? 0) < 1024);
    context.capabilities = { drop: ['ALL'], ...(low ? { add: ['NET_BIND_SERVICE'] } : {}) };
  }
  if (features.securePodDefaults === 'Enabled' && (pod?.runAsNonRoot ?? undefined) === undefined) {
    context.runAsNonRoot ??= true;
  }
  container.securityContext = context;
}
