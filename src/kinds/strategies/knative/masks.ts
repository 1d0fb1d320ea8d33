/**
 * Which fields of a pod spec may be set, and which only where a feature is on. Source: knative.dev/serving
 * `pkg/apis/serving/fieldmask.go`.
 */
import type { FeaturesConfig } from '../../config/index.ts';
import { isMessage, messageType } from '../../type-table.ts';
import type { Untyped } from '../untyped.ts';
import { disallowed, join, type KnativeProblem } from './errors.ts';

const CORE = 'io.k8s.api.core.v1';
const words = (text: string): string[] => text.split(' ');

type Feature = keyof FeaturesConfig;

interface Mask {
  /** May always be set. */
  always: readonly string[];
  /** May be set unless the feature is `Disabled`. */
  unless?: Readonly<Record<string, Feature>>;
  /** Set by the platform's own defaulting, beside the pod spec. */
  inline?: readonly string[];
}

const MASKS = {
  PodSpec: {
    always: words('containers serviceAccountName volumes imagePullSecrets enableServiceLinks'),
    unless: {
      affinity: 'affinity',
      topologySpreadConstraints: 'topologySpreadConstraints',
      hostAliases: 'hostAliases',
      nodeSelector: 'nodeSelector',
      runtimeClassName: 'runtimeClassName',
      tolerations: 'tolerations',
      shareProcessNamespace: 'shareProcessNamespace',
      priorityClassName: 'priorityClassName',
      schedulerName: 'schedulerName',
      initContainers: 'initContainers',
      dnsPolicy: 'dnsPolicy',
      dnsConfig: 'dnsConfig',
      hostIPC: 'hostIPC',
      hostPID: 'hostPID',
      hostNetwork: 'hostNetwork',
    },
    inline: words('containerConcurrency timeoutSeconds responseStartTimeoutSeconds idleTimeoutSeconds'),
  },
  Container: {
    always: words(
      'name args command env workingDir envFrom image imagePullPolicy livenessProbe ports readinessProbe resources securityContext startupProbe terminationMessagePath terminationMessagePolicy volumeMounts',
    ),
  },
  ContainerPort: { always: words('containerPort name protocol') },
  EnvVarSource: {
    always: words('configMapKeyRef secretKeyRef'),
    unless: { fieldRef: 'fieldRef', resourceFieldRef: 'fieldRef' },
  },
  ResourceRequirements: { always: words('limits requests') },
  Volume: {
    always: words('name secret configMap projected'),
    unless: {
      emptyDir: 'emptyDir',
      persistentVolumeClaim: 'persistentVolumeClaim',
      hostPath: 'hostPath',
      csi: 'csiVolumes',
      ephemeral: 'ephemeralVolumes',
      image: 'imageVolumes',
    },
  },
  VolumeMount: {
    always: words('name readOnly mountPath subPath'),
    unless: { mountPropagation: 'mountPropagation' },
  },
  VolumeProjection: { always: words('secret configMap serviceAccountToken downwardAPI') },
  SecurityContext: {
    always: words(
      'capabilities readOnlyRootFilesystem runAsUser runAsGroup runAsNonRoot allowPrivilegeEscalation seccompProfile',
    ),
  },
  PodSecurityContext: {
    always: [],
    unless: Object.fromEntries(
      words('runAsUser runAsGroup runAsNonRoot fsGroup supplementalGroups seccompProfile').map((f) => [
        f,
        'securityContext' as const,
      ]),
    ),
  },
} satisfies Record<string, Mask>;

export type Masked = keyof typeof MASKS;

/** Whether Go would find anything in that field: for plain fields zero is nothing, for pointers and lists it is something. */
export function isSet(type: string, field: string, value: Untyped): boolean {
  if (value === undefined || value === null) return false;
  const known = messageType(`${CORE}.${type}`)?.json.get(field);
  if (known === undefined || known.pointer || known.list || known.map) return true;
  if (isMessage(known.type)) return Object.keys(value).length > 0;
  return value !== '' && value !== 0 && value !== false;
}

/** Names of the fields of an object that are set and may not be, sorted. `more` may be set besides. */
export function extraFields(
  type: Masked,
  object: Untyped,
  features: FeaturesConfig,
  more: readonly string[] = [],
): string[] {
  const mask: Mask = MASKS[type];
  return Object.keys(object ?? {})
    .filter((field) => {
      if (mask.always.includes(field) || mask.inline?.includes(field) || more.includes(field)) return false;
      const feature = mask.unless?.[field];
      if (feature !== undefined && features[feature] !== 'Disabled') return false;
      return isSet(type, field, object[field]);
    })
    .sort();
}

/** The problem of fields that are set and may not be. */
export function mask(
  type: Masked,
  object: Untyped,
  path: string,
  features: FeaturesConfig,
  more?: readonly string[],
): KnativeProblem[] {
  const extra = extraFields(type, object, features, more);
  return extra.length === 0 ? [] : [disallowed(...extra.map((field) => join(path, field)))];
}
