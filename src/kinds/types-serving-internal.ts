/**
 * Types of what Knative Serving writes for itself, and of DomainMapping, in the form of the type table (`type-table.ts`).
 * They never travel as protobuf: number 0. Source: knative.dev/serving pkg/apis/{autoscaling/v1alpha1,serving/v1beta1},
 * knative.dev/networking pkg/apis/networking/v1alpha1, knative.dev/caching pkg/apis/caching/v1alpha1.
 */
import type { TypeTexts } from './type-table.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const CORE = 'io.k8s.api.core.v1';
const SERVING = 'dev.knative.serving.v1';
const STATUS = `0 ${SERVING}.Status inline`;
const kind = (name: string): Record<string, string> => ({
  '': 'kind',
  metadata: `0 ${META}.ObjectMeta o ?`,
  spec: `0 ${name}Spec o ?`,
  status: `0 ${name}Status o ?`,
});

export const AUTOSCALING_TYPES: TypeTexts = {
  PodAutoscaler: kind('PodAutoscaler'),
  PodAutoscalerSpec: {
    containerConcurrency: '0 int64 o ?',
    scaleTargetRef: `0 ${CORE}.ObjectReference`,
    reachability: '0 string o ?',
    protocolType: '0 string',
  },
  PodAutoscalerStatus: {
    status: STATUS,
    serviceName: '0 string ?',
    metricsServiceName: '0 string ?',
    desiredScale: '0 int32 * o ?',
    actualScale: '0 int32 * o ?',
  },
  Metric: kind('Metric'),
  MetricSpec: { stableWindow: '0 int64', panicWindow: '0 int64', scrapeTarget: '0 string' },
  MetricStatus: { status: STATUS },
};

export const AUTOSCALING_DOCS: TypeTexts = {
  PodAutoscaler: { '': 'PodAutoscaler tells how many instances a Revision should have and has.' },
  PodAutoscalerSpec: {
    containerConcurrency: 'Requests one instance works on at once. 0 is unlimited.',
    scaleTargetRef: 'The object whose replicas are set.',
    reachability: 'Whether a Route refers to the Revision: Reachable, Unreachable or unknown.',
    protocolType: 'http1 or h2c.',
  },
  PodAutoscalerStatus: { desiredScale: 'Instances wanted.', actualScale: 'Instances there.' },
  Metric: { '': 'Metric says over which windows the requests of a Revision are averaged.' },
  MetricSpec: {
    stableWindow: 'The long window, in nanoseconds.',
    panicWindow: 'The short window, in nanoseconds.',
    scrapeTarget: 'Service that answers with the counts.',
  },
};

export const NETWORKING_TYPES: TypeTexts = {
  Ingress: kind('Ingress'),
  IngressSpec: { tls: '0 []IngressTLS o ?', rules: '0 []IngressRule o ?', httpOption: '0 string o ?' },
  IngressTLS: { hosts: '0 []string o ?', secretName: '0 string o ?', secretNamespace: '0 string o ?' },
  IngressRule: {
    hosts: '0 []string o ?',
    visibility: '0 string o ?',
    http: '0 HTTPIngressRuleValue * o ?',
  },
  HTTPIngressRuleValue: { paths: '0 []HTTPIngressPath' },
  HTTPIngressPath: {
    path: '0 string o ?',
    rewriteHost: '0 string o ?',
    headers: '0 {}HeaderMatch o ?',
    splits: '0 []IngressBackendSplit',
    appendHeaders: '0 {}string o ?',
  },
  HeaderMatch: { exact: '0 string' },
  IngressBackendSplit: {
    serviceNamespace: '0 string',
    serviceName: '0 string',
    servicePort: '0 intorstring',
    percent: '0 int64 o ?',
    appendHeaders: '0 {}string o ?',
  },
  IngressStatus: {
    status: STATUS,
    publicLoadBalancer: '0 LoadBalancerStatus * o ?',
    privateLoadBalancer: '0 LoadBalancerStatus * o ?',
  },
  LoadBalancerStatus: { ingress: '0 []LoadBalancerIngressStatus o ?' },
  LoadBalancerIngressStatus: {
    ip: '0 string o ?',
    domain: '0 string o ?',
    domainInternal: '0 string o ?',
    meshOnly: '0 bool o ?',
  },
  ServerlessService: kind('ServerlessService'),
  ServerlessServiceSpec: {
    mode: '0 string o ?',
    objectRef: `0 ${CORE}.ObjectReference`,
    protocolType: '0 string',
    numActivators: '0 int32 o ?',
  },
  ServerlessServiceStatus: {
    status: STATUS,
    serviceName: '0 string o ?',
    privateServiceName: '0 string o ?',
  },
  Certificate: kind('Certificate'),
  CertificateSpec: { dnsNames: '0 []string', domain: '0 string o ?', secretName: '0 string' },
  CertificateStatus: {
    status: STATUS,
    notAfter: '0 time * o ?',
    http01Challenges: '0 []HTTP01Challenge o ?',
  },
  HTTP01Challenge: {
    url: '0 string o ?',
    serviceName: '0 string o ?',
    serviceNamespace: '0 string o ?',
    servicePort: '0 intorstring o ?',
  },
  ClusterDomainClaim: {
    '': 'kind',
    metadata: `0 ${META}.ObjectMeta o ?`,
    spec: '0 ClusterDomainClaimSpec o ?',
  },
  ClusterDomainClaimSpec: { namespace: '0 string' },
};

export const NETWORKING_DOCS: TypeTexts = {
  Ingress: { '': 'Ingress tells what the gateway does with the host names of one Route.' },
  IngressSpec: { httpOption: 'Enabled or Redirected: what becomes of requests without TLS.' },
  IngressRule: { visibility: 'ExternalIP or ClusterLocal.' },
  HTTPIngressPath: {
    headers: 'Headers that a request must have to come here.',
    splits: 'How requests are shared; the percents add up to 100.',
    appendHeaders: 'Headers that are added to each request.',
  },
  ServerlessService: {
    '': 'ServerlessService tells whether requests of a Revision go to its instances at once.',
  },
  ServerlessServiceSpec: {
    mode: 'Serve: instances take requests. Proxy: requests wait for one.',
    objectRef: 'The object whose Pods are the instances.',
  },
  Certificate: { '': 'Certificate asks for a TLS certificate of some names.' },
  ClusterDomainClaim: { '': 'ClusterDomainClaim gives a domain name to one namespace.' },
  ClusterDomainClaimSpec: { namespace: 'The namespace whose DomainMappings may use the name.' },
};

export const CACHING_TYPES: TypeTexts = {
  Image: kind('Image'),
  ImageSpec: {
    image: '0 string',
    serviceAccountName: '0 string o ?',
    imagePullSecrets: `0 []${CORE}.LocalObjectReference o ?`,
  },
  ImageStatus: { status: STATUS },
};

export const CACHING_DOCS: TypeTexts = {
  Image: { '': 'Image asks that nodes hold an image before it is needed.' },
  ImageSpec: { image: 'Reference of the image.' },
};

export const SERVING_BETA_TYPES: TypeTexts = {
  DomainMapping: kind('DomainMapping'),
  DomainMappingSpec: { ref: '0 KReference', tls: '0 SecretTLS * o ?' },
  KReference: {
    kind: '0 string',
    namespace: '0 string o ?',
    name: '0 string',
    apiVersion: '0 string o ?',
    group: '0 string o ?',
    address: '0 string * o ?',
  },
  SecretTLS: { secretName: '0 string' },
  DomainMappingStatus: {
    status: STATUS,
    url: '0 string o ?',
    address: `0 ${SERVING}.Addressable * o ?`,
  },
};

export const SERVING_BETA_DOCS: TypeTexts = {
  DomainMapping: {
    '': 'DomainMapping gives a Service or Route a host name of its own. Its name is the host name.',
  },
  DomainMappingSpec: {
    ref: 'What answers under the name: an object with an address.',
    tls: 'Where the certificate of the name is.',
  },
  SecretTLS: { secretName: 'Secret of type kubernetes.io/tls in the same namespace.' },
};
