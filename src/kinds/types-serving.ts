/**
 * Types of Knative Serving v1, in the form of the type table (`type-table.ts`). They never travel as protobuf: number 0.
 * Source: knative.dev/serving pkg/apis/serving/v1, knative.dev/pkg apis/duck/v1.
 */
import type { TypeTexts } from './type-table.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const kind = (spec: string, status: string): Record<string, string> => ({
  '': 'kind',
  metadata: `0 ${META} o ?`,
  spec: `0 ${spec} o ?`,
  status: `0 ${status} o ?`,
});

export const SERVING_TYPES: TypeTexts = {
  Service: kind('ServiceSpec', 'ServiceStatus'),
  ServiceSpec: { configurationSpec: '0 ConfigurationSpec inline', routeSpec: '0 RouteSpec inline' },
  ServiceStatus: {
    status: '0 Status inline',
    configurationStatusFields: '0 ConfigurationStatusFields inline',
    routeStatusFields: '0 RouteStatusFields inline',
  },
  Configuration: kind('ConfigurationSpec', 'ConfigurationStatus'),
  ConfigurationSpec: { template: '0 RevisionTemplateSpec ?' },
  ConfigurationStatus: {
    status: '0 Status inline',
    configurationStatusFields: '0 ConfigurationStatusFields inline',
  },
  ConfigurationStatusFields: {
    latestReadyRevisionName: '0 string o ?',
    latestCreatedRevisionName: '0 string o ?',
  },
  Revision: kind('RevisionSpec', 'RevisionStatus'),
  RevisionTemplateSpec: { metadata: `0 ${META} o ?`, spec: '0 RevisionSpec o ?' },
  RevisionSpec: {
    podSpec: '0 io.k8s.api.core.v1.PodSpec inline',
    containerConcurrency: '0 int64 * o ?',
    timeoutSeconds: '0 int64 * o ?',
    responseStartTimeoutSeconds: '0 int64 * o ?',
    idleTimeoutSeconds: '0 int64 * o ?',
  },
  RevisionStatus: {
    status: '0 Status inline',
    logUrl: '0 string o ?',
    containerStatuses: '0 []ContainerStatus o ?',
    initContainerStatuses: '0 []ContainerStatus o ?',
    actualReplicas: '0 int32 * o ?',
    desiredReplicas: '0 int32 * o ?',
  },
  ContainerStatus: { name: '0 string o ?', imageDigest: '0 string o ?' },
  Route: kind('RouteSpec', 'RouteStatus'),
  RouteSpec: { traffic: '0 []TrafficTarget o ?' },
  RouteStatus: { status: '0 Status inline', routeStatusFields: '0 RouteStatusFields inline' },
  RouteStatusFields: {
    url: '0 string o ?',
    address: '0 Addressable * o ?',
    traffic: '0 []TrafficTarget o ?',
  },
  TrafficTarget: {
    tag: '0 string o ?',
    revisionName: '0 string o ?',
    configurationName: '0 string o ?',
    latestRevision: '0 bool * o ?',
    percent: '0 int64 * o ?',
    url: '0 string o ?',
  },
  Addressable: {
    name: '0 string * o ?',
    url: '0 string o ?',
    CACerts: '0 string * o ?',
    audience: '0 string * o ?',
  },
  Status: {
    observedGeneration: '0 int64 o ?',
    conditions: '0 []Condition o ? s=merge k=type',
    annotations: '0 {}string o ?',
  },
  Condition: {
    type: '0 string',
    status: '0 string',
    severity: '0 string o ?',
    lastTransitionTime: '0 time o ?',
    reason: '0 string o ?',
    message: '0 string o ?',
    observedGeneration: '0 int64 o ?',
  },
};

/** One-line descriptions for `kubectl explain`; `` is the type itself. */
export const SERVING_DOCS: TypeTexts = {
  Service: { '': 'Service is a workload with a URL: it owns a Configuration and a Route of the same name.' },
  ServiceSpec: { '': 'ServiceSpec is a template of revisions and how traffic is shared among them.' },
  ConfigurationSpec: { template: 'The template of the next Revision.' },
  Configuration: { '': 'Configuration is a template; every change of it makes a Revision.' },
  Revision: { '': 'Revision is one immutable version of code and settings.' },
  RevisionSpec: {
    '': 'RevisionSpec is a pod spec and what request-driven serving adds.',
    containerConcurrency: 'Requests one instance works on at once. 0 is unlimited.',
    timeoutSeconds: 'Seconds a whole request may take.',
    responseStartTimeoutSeconds: 'Seconds until the response must begin.',
    idleTimeoutSeconds: 'Seconds without a byte after which a request ends.',
  },
  Route: { '': 'Route gives revisions a URL and shares traffic among them.' },
  RouteSpec: { traffic: 'How requests are shared; the percents add up to 100.' },
  TrafficTarget: {
    '': 'TrafficTarget is one share of the traffic.',
    tag: 'Gives this target a URL of its own.',
    revisionName: 'The Revision requests go to.',
    configurationName: 'The Configuration whose latest ready Revision requests go to.',
    latestRevision: 'Whether requests follow the latest ready Revision.',
    percent: 'Share of requests, 0 to 100.',
    url: 'Where the tag answers; status only.',
  },
};
