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

/** Eventing. */
export const BROKERS = ref('eventing.knative.dev', 'v1', 'Broker', 'brokers');
export const TRIGGERS = ref('eventing.knative.dev', 'v1', 'Trigger', 'triggers');
export const EVENT_TYPES = ref('eventing.knative.dev', 'v1beta2', 'EventType', 'eventtypes');
export const EVENT_POLICIES = ref('eventing.knative.dev', 'v1alpha1', 'EventPolicy', 'eventpolicies');
export const EVENT_TRANSFORMS = ref('eventing.knative.dev', 'v1alpha1', 'EventTransform', 'eventtransforms');
export const KAFKA_SINKS = ref('eventing.knative.dev', 'v1alpha1', 'KafkaSink', 'kafkasinks');
export const CHANNELS = ref('messaging.knative.dev', 'v1', 'Channel', 'channels');
export const IN_MEMORY_CHANNELS = ref('messaging.knative.dev', 'v1', 'InMemoryChannel', 'inmemorychannels');
export const SUBSCRIPTIONS = ref('messaging.knative.dev', 'v1', 'Subscription', 'subscriptions');
export const SEQUENCES = ref('flows.knative.dev', 'v1', 'Sequence', 'sequences');
export const PARALLELS = ref('flows.knative.dev', 'v1', 'Parallel', 'parallels');
export const PING_SOURCES = ref('sources.knative.dev', 'v1', 'PingSource', 'pingsources');
export const API_SERVER_SOURCES = ref('sources.knative.dev', 'v1', 'ApiServerSource', 'apiserversources');
export const CONTAINER_SOURCES = ref('sources.knative.dev', 'v1', 'ContainerSource', 'containersources');
export const SINK_BINDINGS = ref('sources.knative.dev', 'v1', 'SinkBinding', 'sinkbindings');
export const KAFKA_SOURCES = ref('sources.knative.dev', 'v1', 'KafkaSource', 'kafkasources');
export const JOB_SINKS = ref('sinks.knative.dev', 'v1alpha1', 'JobSink', 'jobsinks');
export const INTEGRATION_SINKS = ref('sinks.knative.dev', 'v1alpha1', 'IntegrationSink', 'integrationsinks');
export const EVENT_SOURCES = ref('petrel.dev', 'v1', 'EventSource', 'eventsources');
export const EVENT_SINKS = ref('petrel.dev', 'v1', 'EventSink', 'eventsinks');

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

/** Kinds of eventing of which one object is a connection by itself. */
export const EVENTING_CONNECTIONS: readonly ResourceRef[] = [
  BROKERS,
  CHANNELS,
  IN_MEMORY_CHANNELS,
  SEQUENCES,
  PARALLELS,
  PING_SOURCES,
  API_SERVER_SOURCES,
  CONTAINER_SOURCES,
  SINK_BINDINGS,
  KAFKA_SOURCES,
  EVENT_SOURCES,
  EVENT_TRANSFORMS,
  JOB_SINKS,
];
/** All kinds of eventing. */
export const EVENTING: readonly ResourceRef[] = [
  ...EVENTING_CONNECTIONS,
  TRIGGERS,
  SUBSCRIPTIONS,
  EVENT_TYPES,
  EVENT_POLICIES,
  INTEGRATION_SINKS,
  KAFKA_SINKS,
  EVENT_SINKS,
];
