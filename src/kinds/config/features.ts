/**
 * `config-features`: which parts of a pod spec may be used, and a few behaviours. Source: knative.dev/serving
 * `pkg/apis/config/features.go`. What upstream switches off by default in pod specs is on here: the sandbox of an
 * instance, not the wording of its spec, is what keeps it in.
 */
import { type ConfigData, field, readFields, type Values } from './read.ts';

/** `Allowed`: whether it happens is up to an annotation of the Revision, or simply that it may be asked for. */
export type Flag = 'Enabled' | 'Allowed' | 'Disabled';

const oneOf =
  <T extends string>(...flags: T[]) =>
  (raw: string): T => {
    const found = flags.find((flag) => flag.toLowerCase() === raw.trim().toLowerCase());
    if (found === undefined)
      throw new Error(`must be one of ${flags.join(', ')}, was ${JSON.stringify(raw)}`);
    return found;
  };
const anyFlag = oneOf<Flag>('Enabled', 'Allowed', 'Disabled');
const on = (key: string) => field<Flag>(anyFlag, 'Enabled', key);
const off = (key: string) => field<Flag>(anyFlag, 'Disabled', key);

const FIELDS = {
  multiContainer: on('multi-container'),
  multiContainerProbing: on('multi-container-probing'),
  affinity: on('kubernetes.podspec-affinity'),
  topologySpreadConstraints: on('kubernetes.podspec-topologyspreadconstraints'),
  hostAliases: on('kubernetes.podspec-hostaliases'),
  nodeSelector: on('kubernetes.podspec-nodeselector'),
  tolerations: on('kubernetes.podspec-tolerations'),
  fieldRef: on('kubernetes.podspec-fieldref'),
  runtimeClassName: on('kubernetes.podspec-runtimeclassname'),
  dnsPolicy: on('kubernetes.podspec-dnspolicy'),
  dnsConfig: on('kubernetes.podspec-dnsconfig'),
  securityContext: on('kubernetes.podspec-securitycontext'),
  shareProcessNamespace: on('kubernetes.podspec-shareprocessnamespace'),
  hostIPC: on('kubernetes.podspec-hostipc'),
  hostPID: on('kubernetes.podspec-hostpid'),
  hostNetwork: on('kubernetes.podspec-hostnetwork'),
  priorityClassName: on('kubernetes.podspec-priorityclassname'),
  schedulerName: on('kubernetes.podspec-schedulername'),
  initContainers: on('kubernetes.podspec-init-containers'),
  addCapabilities: on('kubernetes.containerspec-addcapabilities'),
  emptyDir: on('kubernetes.podspec-volumes-emptydir'),
  imageVolumes: on('kubernetes.podspec-volumes-image'),
  hostPath: on('kubernetes.podspec-volumes-hostpath'),
  ephemeralVolumes: on('kubernetes.podspec-volumes-ephemeral'),
  csiVolumes: on('kubernetes.podspec-volumes-csi'),
  persistentVolumeClaim: on('kubernetes.podspec-persistent-volume-claim'),
  persistentVolumeWrite: on('kubernetes.podspec-persistent-volume-write'),
  mountPropagation: on('kubernetes.podspec-volumes-mount-propagation'),
  tagHeaderBasedRouting: on('tag-header-based-routing'),
  autodetectHttp2: on('autodetect-http2'),
  securePodDefaults: field(
    oneOf<'Enabled' | 'AllowRootBounded' | 'Disabled'>('Enabled', 'AllowRootBounded', 'Disabled'),
    'Disabled',
    'secure-pod-defaults',
  ),
  /** No queue-proxy here that could make use of these. */
  queueProxyMountPodInfo: off('queueproxy.mount-podinfo'),
  queueProxyResourceDefaults: off('queueproxy.resource-defaults'),
};

export type FeaturesConfig = Values<typeof FIELDS>;

/**
 * Throws `ConfigMapError`. Upstream passes over words that are no flag; where features are on by default that would
 * leave on what somebody meant to switch off.
 */
export const parseConfigFeatures = (data: ConfigData = {}): FeaturesConfig => readFields(FIELDS, data);
