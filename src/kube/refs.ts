/** The resources that Petrel's own parts read and write, as they stand in URLs. */
import type { ResourceRef } from './client.ts';

const ref = (
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced = true,
): ResourceRef => ({
  group,
  version,
  plural,
  kind,
  namespaced,
});

export const PODS = ref('', 'v1', 'Pod', 'pods');
export const RESOURCE_QUOTAS = ref('', 'v1', 'ResourceQuota', 'resourcequotas');
export const SECRETS = ref('', 'v1', 'Secret', 'secrets');
export const CONFIGMAPS = ref('', 'v1', 'ConfigMap', 'configmaps');
export const EVENTS = ref('', 'v1', 'Event', 'events');
export const SERVICES = ref('', 'v1', 'Service', 'services');
export const NAMESPACES = ref('', 'v1', 'Namespace', 'namespaces', false);
export const NODES = ref('', 'v1', 'Node', 'nodes', false);
export const JOBS = ref('batch', 'v1', 'Job', 'jobs');
export const LEASES = ref('coordination.k8s.io', 'v1', 'Lease', 'leases');

export const FUNCTIONS = ref('petrel.dev', 'v1', 'Function', 'functions');
export const FUNCTION_ALIASES = ref('petrel.dev', 'v1', 'FunctionAlias', 'functionaliases');
export const RUNTIMES = ref('petrel.dev', 'v1', 'Runtime', 'runtimes', false);
export const TRAFFIC_POLICIES = ref('petrel.dev', 'v1', 'TrafficPolicy', 'trafficpolicies');

/** Knative's Service; the core one is `SERVICES`. */
export const KSERVICES = ref('serving.knative.dev', 'v1', 'Service', 'services');
export const CONFIGURATIONS = ref('serving.knative.dev', 'v1', 'Configuration', 'configurations');
export const REVISIONS = ref('serving.knative.dev', 'v1', 'Revision', 'revisions');
export const ROUTES = ref('serving.knative.dev', 'v1', 'Route', 'routes');
export const DOMAIN_MAPPINGS = ref('serving.knative.dev', 'v1beta1', 'DomainMapping', 'domainmappings');

export const POD_AUTOSCALERS = ref(
  'autoscaling.internal.knative.dev',
  'v1alpha1',
  'PodAutoscaler',
  'podautoscalers',
);

/** Knative's own Ingress and what belongs with it. */
const NETWORKING = 'networking.internal.knative.dev';
export const INGRESSES = ref(NETWORKING, 'v1alpha1', 'Ingress', 'ingresses');
export const SERVERLESS_SERVICES = ref(NETWORKING, 'v1alpha1', 'ServerlessService', 'serverlessservices');
export const CLUSTER_DOMAIN_CLAIMS = ref(
  NETWORKING,
  'v1alpha1',
  'ClusterDomainClaim',
  'clusterdomainclaims',
  false,
);
export const IMAGES = ref('caching.internal.knative.dev', 'v1alpha1', 'Image', 'images');

/** `apiVersion` of objects of this resource. */
export function apiVersionOf(resource: ResourceRef): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** Path of a collection or, with `name`, of one object. An absent namespace on a namespaced resource means all namespaces. */
export function pathOf(
  resource: ResourceRef,
  namespace?: string,
  name?: string,
  subresource?: string,
): string {
  let path =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  if (resource.namespaced && namespace) path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${resource.plural}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource) path += `/${subresource}`;
  return path;
}
