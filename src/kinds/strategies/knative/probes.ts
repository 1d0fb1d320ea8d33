/** Probes as Knative accepts them. Source: knative.dev/serving `pkg/apis/serving/k8s_validation.go`. */
import type { FeaturesConfig } from '../../config/index.ts';
import type { Untyped } from '../untyped.ts';
import {
  badValue,
  disallowed,
  join,
  type KnativeProblem,
  noneOf,
  outOfBounds,
  problem,
  severalOf,
} from './errors.ts';
import { isSet } from './masks.ts';

const MAX_INT32 = 2147483647;
const KINDS = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;
const HANDLERS = ['httpGet', 'tcpSocket', 'exec', 'grpc'];
/** How upstream spells the handlers when there are several. */
const SPELLED: Record<string, string> = { grpc: 'gRPC' };

/** Probes of the container that serves; ports given by name must be its own, `portName`. */
export const validateServingProbes = (container: Untyped, path: string, portName: string): KnativeProblem[] =>
  KINDS.flatMap((kind) => validateProbe(container[kind], kind, join(path, kind), portName));

/** Probes of another container, where they may be set at all. */
export function validateSidecarProbes(
  container: Untyped,
  path: string,
  features: FeaturesConfig,
): KnativeProblem[] {
  return KINDS.flatMap((kind) => {
    const probe = container[kind];
    const at = join(path, kind);
    if (features.multiContainerProbing === 'Enabled') return validateProbe(probe, kind, at, undefined);
    const set = Object.keys(probe ?? {}).filter((field) => isSet('Probe', field, probe[field]));
    // The handlers have no name of their own in the probe.
    const fields = new Set(set.map((field) => (HANDLERS.includes(field) ? '' : field)));
    return fields.size === 0 ? [] : [disallowed(...[...fields].map((field) => join(at, field)))];
  });
}

/** Init containers have none. */
export const validateInitProbes = (container: Untyped, path: string): KnativeProblem[] =>
  [...KINDS, 'lifecycle']
    .filter((field) => container[field])
    .map((field) => problem('field not allowed in an init container', join(path, field)));

function validateProbe(
  probe: Untyped,
  kind: (typeof KINDS)[number],
  path: string,
  portName: string | undefined,
): KnativeProblem[] {
  if (!probe) return [];
  const problems = validateHandler(probe, path, portName);
  return kind === 'readinessProbe' ? [...problems, ...validateTimes(probe, path)] : problems;
}

function validateHandler(probe: Untyped, path: string, portName: string | undefined): KnativeProblem[] {
  const given = HANDLERS.filter((handler) => probe[handler]);
  const problems: KnativeProblem[] = [];
  for (const handler of ['httpGet', 'tcpSocket']) {
    if (!probe[handler]) continue;
    const port: string | number = probe[handler].port ?? 0;
    const at = join(path, `${handler}.port`);
    if (portName === undefined) {
      if (!port) problems.push(badValue(port, at, 'Probe port must be specified'));
    } else if (typeof port === 'string' && port !== '' && port !== portName) {
      problems.push(badValue(port, at, 'Probe port must match container port'));
    }
  }
  if (given.length === 0) problems.push(noneOf(...HANDLERS.map((handler) => join(path, handler))));
  if (given.length > 1) {
    problems.push(severalOf(...given.map((handler) => join(path, SPELLED[handler] ?? handler))));
  }
  return problems;
}

/** A period of 0 is Knative's own eager probing, which has no thresholds and time-outs. */
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
