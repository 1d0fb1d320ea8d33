/**
 * What Knative Serving writes for itself and what tools read: `autoscaling.internal`, `networking.internal` and
 * `caching.internal`, all v1alpha1; and DomainMapping. Source: knative.dev/serving, knative.dev/networking, knative.dev/caching.
 */
import type { KubeObject, ObjectMeta } from './object.ts';
import type { DuckStatus } from './serving.ts';

export const AUTOSCALING_INTERNAL_GROUP = 'autoscaling.internal.knative.dev';
export const NETWORKING_INTERNAL_GROUP = 'networking.internal.knative.dev';
export const CACHING_INTERNAL_GROUP = 'caching.internal.knative.dev';

export interface ObjectReference {
  apiVersion?: string;
  kind?: string;
  namespace?: string;
  name?: string;
}

/** Name of the Revision it belongs to. */
export interface PodAutoscaler extends KubeObject {
  spec: {
    containerConcurrency?: number;
    scaleTargetRef: ObjectReference;
    /** Absent or empty is unknown. */
    reachability?: '' | 'Reachable' | 'Unreachable';
    protocolType: 'http1' | 'h2c';
  };
  status?: DuckStatus & {
    serviceName?: string;
    metricsServiceName?: string;
    desiredScale?: number;
    actualScale?: number;
  };
}

/** Windows in nanoseconds, as Go marshals durations. */
export interface Metric extends KubeObject {
  spec: { stableWindow: number; panicWindow: number; scrapeTarget: string };
  status?: DuckStatus;
}

export interface IngressBackendSplit {
  serviceNamespace: string;
  serviceName: string;
  servicePort: number | string;
  percent?: number;
  appendHeaders?: Record<string, string>;
}
export interface HttpIngressPath {
  path?: string;
  rewriteHost?: string;
  headers?: Record<string, { exact: string }>;
  splits: IngressBackendSplit[];
  appendHeaders?: Record<string, string>;
}
export interface IngressRule {
  hosts?: string[];
  visibility?: 'ExternalIP' | 'ClusterLocal';
  http?: { paths: HttpIngressPath[] };
}
export interface LoadBalancerStatus {
  ingress?: { ip?: string; domain?: string; domainInternal?: string; meshOnly?: boolean }[];
}
/** Knative's own Ingress, not that of `networking.k8s.io`. */
export interface Ingress extends KubeObject {
  spec: {
    tls?: { hosts?: string[]; secretName?: string; secretNamespace?: string }[];
    rules?: IngressRule[];
    httpOption?: 'Enabled' | 'Redirected';
  };
  status?: DuckStatus & {
    publicLoadBalancer?: LoadBalancerStatus;
    privateLoadBalancer?: LoadBalancerStatus;
  };
}

export interface ServerlessService extends KubeObject {
  spec: {
    mode?: 'Serve' | 'Proxy';
    objectRef: ObjectReference;
    protocolType: 'http1' | 'h2c';
    numActivators?: number;
  };
  status?: DuckStatus & { serviceName?: string; privateServiceName?: string };
}

export interface Certificate extends KubeObject {
  spec: { dnsNames: string[]; domain?: string; secretName: string };
  status?: DuckStatus & {
    notAfter?: string;
    http01Challenges?: {
      url?: string;
      serviceName?: string;
      serviceNamespace?: string;
      servicePort?: number | string;
    }[];
  };
}

/** Cluster-scoped; its name is the domain name. */
export interface ClusterDomainClaim extends KubeObject {
  spec: { namespace: string };
}

export interface Image extends KubeObject {
  spec: { image: string; serviceAccountName?: string; imagePullSecrets?: { name?: string }[] };
  status?: DuckStatus;
}

/** `serving.knative.dev/v1beta1`; its name is the host name. */
export interface DomainMapping extends KubeObject {
  spec: {
    ref: {
      kind: string;
      name: string;
      namespace?: string;
      apiVersion?: string;
      group?: string;
      address?: string;
    };
    tls?: { secretName: string };
  };
  status?: DuckStatus & { url?: string; address?: { url?: string } };
}

/** Core v1 Endpoints; what a Service without selector points to. */
export interface Endpoints extends KubeObject {
  subsets?: {
    addresses?: { ip: string; hostname?: string; nodeName?: string; targetRef?: ObjectReference }[];
    notReadyAddresses?: { ip: string; targetRef?: ObjectReference }[];
    ports?: { name?: string; port: number; protocol?: string; appProtocol?: string }[];
  }[];
}

/** `discovery.k8s.io/v1`. */
export interface EndpointSlice extends KubeObject {
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints: {
    addresses: string[];
    conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
    nodeName?: string;
    targetRef?: ObjectReference;
    zone?: string;
  }[];
  ports?: { name?: string; port?: number; protocol?: string; appProtocol?: string }[];
}

/** Core v1 Service; Knative's is in `serving.ts`. */
export interface CoreService extends KubeObject {
  spec?: {
    type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
    externalName?: string;
    clusterIP?: string;
    selector?: Record<string, string>;
    sessionAffinity?: string;
    ports?: {
      name?: string;
      port: number;
      targetPort?: number | string;
      protocol?: string;
      appProtocol?: string;
    }[];
  };
}

/** apps/v1, as far as serving writes it. */
export interface Deployment extends KubeObject {
  spec: {
    replicas?: number;
    selector: { matchLabels?: Record<string, string> };
    template: { metadata?: Partial<ObjectMeta>; spec: object };
    progressDeadlineSeconds?: number;
    revisionHistoryLimit?: number;
    strategy?: object;
    paused?: boolean;
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    readyReplicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    unavailableReplicas?: number;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
  };
}

/** `autoscaling/v2`, as far as the HPA class writes it. */
export interface HorizontalPodAutoscaler extends KubeObject {
  spec: {
    scaleTargetRef: { apiVersion?: string; kind: string; name: string };
    minReplicas?: number;
    maxReplicas: number;
    metrics?: HpaMetric[];
    behavior?: object;
  };
  status?: { currentReplicas?: number; desiredReplicas?: number; currentMetrics?: object[] };
}
export interface HpaMetric {
  type: 'Resource' | 'Pods' | 'External' | 'Object' | 'ContainerResource';
  resource?: { name: string; target: HpaTarget };
  pods?: { metric: { name: string }; target: HpaTarget };
  external?: { metric: { name: string }; target: HpaTarget };
}
export interface HpaTarget {
  type: 'Utilization' | 'AverageValue' | 'Value';
  averageUtilization?: number;
  averageValue?: string;
  value?: string;
}
