/** The parts of core/v1 that Petrel itself reads and writes. Source: k8s.io/api core/v1. */
import type { Condition, KubeObject } from './object.ts';

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: {
    secretKeyRef?: { name: string; key: string; optional?: boolean };
    configMapKeyRef?: { name: string; key: string; optional?: boolean };
    fieldRef?: { fieldPath: string };
    resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
  };
}
export interface EnvFromSource {
  prefix?: string;
  configMapRef?: { name: string; optional?: boolean };
  secretRef?: { name: string; optional?: boolean };
}
/** Quantities as Kubernetes writes them: `100m`, `64Mi`. */
export interface ResourceRequirements {
  limits?: Record<string, string>;
  requests?: Record<string, string>;
}
export interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}
/** A file made of what the API knows of the Pod; `path` is relative to the volume. */
export interface DownwardFile {
  path: string;
  mode?: number;
  fieldRef?: { fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
}
/** One of several sources of a projected volume. */
export interface VolumeProjection {
  configMap?: { name: string; items?: KeyToPath[]; optional?: boolean };
  secret?: { name: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardFile[] };
  serviceAccountToken?: { path: string; audience?: string; expirationSeconds?: number };
}
export interface Volume {
  name: string;
  projected?: { sources?: VolumeProjection[]; defaultMode?: number };
  downwardAPI?: { items?: DownwardFile[]; defaultMode?: number };
  configMap?: { name: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  secret?: { secretName: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  emptyDir?: { medium?: string; sizeLimit?: string };
}
export interface VolumeMount {
  name: string;
  mountPath: string;
  subPath?: string;
  subPathExpr?: string;
  readOnly?: boolean;
}
export interface HttpGetAction {
  path?: string;
  port: number | string;
  host?: string;
  scheme?: string;
  httpHeaders?: { name: string; value: string }[];
}
export interface Probe {
  httpGet?: HttpGetAction;
  tcpSocket?: { port: number | string; host?: string };
  exec?: { command?: string[] };
  grpc?: { port: number; service?: string };
  terminationGracePeriodSeconds?: number;
  initialDelaySeconds?: number;
  timeoutSeconds?: number;
  periodSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
}
export interface ContainerPort {
  name?: string;
  containerPort: number;
  protocol?: string;
}
/** What runs right after the start of a container, or before its end. */
export interface LifecycleHandler {
  exec?: { command?: string[] };
  httpGet?: HttpGetAction;
  sleep?: { seconds: number };
}
/** Fields of Kubernetes' `SecurityContext` and `PodSecurityContext` that this platform acts on; a container's win. */
export interface SecurityContext {
  runAsUser?: number;
  runAsGroup?: number;
  runAsNonRoot?: boolean;
  readOnlyRootFilesystem?: boolean;
  allowPrivilegeEscalation?: boolean;
  privileged?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  procMount?: string;
  seccompProfile?: { type?: string };
  seLinuxOptions?: object;
}
export interface PodSecurityContext
  extends Pick<
    SecurityContext,
    'runAsUser' | 'runAsGroup' | 'runAsNonRoot' | 'seccompProfile' | 'seLinuxOptions'
  > {
  fsGroup?: number;
  supplementalGroups?: number[];
  sysctls?: { name: string; value: string }[];
}
export interface Container {
  name: string;
  /** `Always` makes a sidecar of an init container. */
  restartPolicy?: string;
  lifecycle?: { postStart?: LifecycleHandler; preStop?: LifecycleHandler };
  securityContext?: SecurityContext;
  terminationMessagePath?: string;
  terminationMessagePolicy?: string;
  image?: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  ports?: ContainerPort[];
  env?: EnvVar[];
  envFrom?: EnvFromSource[];
  resources?: ResourceRequirements;
  volumeMounts?: VolumeMount[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
}
export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  imagePullSecrets?: { name?: string }[];
  terminationGracePeriodSeconds?: number;
  securityContext?: PodSecurityContext;
  hostAliases?: { ip: string; hostnames?: string[] }[];
  dnsPolicy?: string;
  dnsConfig?: {
    nameservers?: string[];
    searches?: string[];
    options?: { name?: string; value?: string }[];
  };
  hostPID?: boolean;
  hostIPC?: boolean;
  shareProcessNamespace?: boolean;
  nodeName?: string;
  runtimeClassName?: string;
  serviceAccountName?: string;
}
export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: {
    exitCode: number;
    signal?: number;
    reason?: string;
    message?: string;
    startedAt?: string;
    finishedAt?: string;
  };
}
export interface ContainerStatus {
  name: string;
  state: ContainerState;
  lastState: ContainerState;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  image: string;
  imageID: string;
  containerID?: string;
}
export interface PodStatus {
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  conditions?: Condition[];
  containerStatuses?: ContainerStatus[];
  initContainerStatuses?: ContainerStatus[];
  hostIP?: string;
  podIP?: string;
  podIPs?: { ip: string }[];
  startTime?: string;
  reason?: string;
  message?: string;
  qosClass?: string;
}
export interface Pod extends KubeObject {
  apiVersion: 'v1';
  kind: 'Pod';
  spec: PodSpec;
  status?: PodStatus;
}
export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
  /** base64 */
  binaryData?: Record<string, string>;
}
export interface Secret extends KubeObject {
  type?: string;
  /** base64 */
  data?: Record<string, string>;
}

/** Annotations by which the owner of a running Pod asks its node for something that the spec of a Pod cannot change. */
export const NODE_ANNOTATIONS = {
  /** JSON of `ResourceRequirements`: what the first container has to keep to from now on. */
  resources: 'petrel.dev/resources',
  /** Name of a directory in `<home>/cache`: created if absent, and from now on writable for the Pod's containers, at the same path. */
  codeCache: 'petrel.dev/code-cache',
  /** JSON of `InPlaceUpdate`: what the containers are to be from now on, while the Pod stays. */
  inPlace: 'petrel.dev/in-place',
  /** `off`: the container is started as a process of its own even where it could be forked from a warm one. */
  zygote: 'petrel.dev/zygote',
  /** `parent`: others may be forked from its process once that has loaded code. `child-of:<uid>`: its process is forked from that of this Pod, where possible. */
  zygoteRole: 'petrel.dev/zygote-role',
} as const;

/**
 * An update of running containers: what is named here replaces what the spec says, and a container that becomes another one by it
 * is stopped gracefully and started anew. Images are changed in the spec itself, as Kubernetes allows.
 */
export interface InPlaceUpdate {
  /** Comes back as the message of the Pod's condition `IN_PLACE_CONDITION` once all containers run as asked. */
  id: string;
  /** What is new starts while what is old still ends: for containers that do not get in each other's way, as two on one port would. */
  overlap?: boolean;
  containers: Record<
    string,
    {
      [Field in InPlaceField]?: Container[Field] | null;
    }
  >;
}

/** Fields that an update may replace; `null` takes one away. A change of probes or ports alone replaces nothing that runs. */
export type InPlaceField =
  | 'command'
  | 'args'
  | 'env'
  | 'envFrom'
  | 'workingDir'
  | 'ports'
  | 'readinessProbe'
  | 'livenessProbe'
  | 'startupProbe';

/** Condition of a Pod: `True` when its containers run as the in-place update in its message asked, `False` while they are replaced. */
export const IN_PLACE_CONDITION = 'petrel.dev/InPlaceUpdate';
