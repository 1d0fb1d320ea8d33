/** Types of sources and sinks of events; see `types-eventing.ts`. */
import type { TypeTexts } from './type-table.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const CORE = 'io.k8s.api.core.v1';
const DUCK = 'dev.knative.duck.v1';
const SERVING = 'dev.knative.serving.v1';
const DELIVERY = `0 ${DUCK}.DeliverySpec * o ?`;
const SOURCE_SPEC = { sourceSpec: `0 ${DUCK}.SourceSpec inline` };
const SOURCE_STATUS = { sourceStatus: `0 ${DUCK}.SourceStatus inline` };
const ADDRESSED = {
  status: `0 ${SERVING}.Status inline`,
  address: `0 ${SERVING}.Addressable * o ?`,
  addresses: `0 []${SERVING}.Addressable o ?`,
  policies: `0 []${DUCK}.AppliedEventPolicyRef o ?`,
};

const kind = (name: string, status = `${name}Status`): Record<string, string> => ({
  '': 'kind',
  metadata: `0 ${META}.ObjectMeta o ?`,
  spec: `0 ${name}Spec o ?`,
  status: `0 ${status} o ?`,
});

const kafka: TypeTexts = {
  KafkaSource: kind('KafkaSource'),
  KafkaSourceSpec: {
    consumers: '0 int32 * o ?',
    bootstrapServers: '0 []string o ?',
    net: '0 KafkaNetSpec o ?',
    topics: '0 []string o ?',
    consumerGroup: '0 string o ?',
    initialOffset: '0 string o ?',
    delivery: DELIVERY,
    ordering: '0 string * o ?',
    ...SOURCE_SPEC,
  },
  KafkaNetSpec: { sasl: '0 KafkaSASLSpec o ?', tls: '0 KafkaTLSSpec o ?' },
  KafkaSASLSpec: {
    enable: '0 bool o ?',
    user: '0 SecretValueFromSource o ?',
    password: '0 SecretValueFromSource o ?',
    type: '0 SecretValueFromSource o ?',
    roleARN: '0 SecretValueFromSource o ?',
    tokenProvider: '0 SecretValueFromSource o ?',
  },
  KafkaTLSSpec: {
    enable: '0 bool o ?',
    cert: '0 SecretValueFromSource o ?',
    key: '0 SecretValueFromSource o ?',
    caCert: '0 SecretValueFromSource o ?',
  },
  SecretValueFromSource: { secretKeyRef: `0 ${CORE}.SecretKeySelector * o ?` },
  KafkaSourceStatus: {
    ...SOURCE_STATUS,
    consumers: '0 int32 o ?',
    selector: '0 string o ?',
    claims: '0 string o ?',
  },
};

const ping: TypeTexts = {
  PingSource: kind('PingSource'),
  PingSourceSpec: {
    ...SOURCE_SPEC,
    schedule: '0 string o ?',
    timezone: '0 string o ?',
    contentType: '0 string o ?',
    data: '0 string o ?',
    dataBase64: '0 string o ?',
  },
  PingSourceStatus: SOURCE_STATUS,
};

const sources: TypeTexts = {
  ...ping,
  ...kafka,
  ApiServerSource: kind('ApiServerSource'),
  ApiServerSourceSpec: {
    ...SOURCE_SPEC,
    resources: '0 []APIVersionKindSelector o ?',
    owner: '0 APIVersionKind * o ?',
    mode: '0 string o ?',
    serviceAccountName: '0 string o ?',
    namespaceSelector: `0 ${META}.LabelSelector * o ?`,
    filters: `0 []${DUCK}.Filter o ?`,
  },
  APIVersionKind: { apiVersion: '0 string', kind: '0 string' },
  APIVersionKindSelector: {
    apiVersion: '0 string',
    kind: '0 string',
    selector: `0 ${META}.LabelSelector * o ?`,
  },
  ApiServerSourceStatus: { ...SOURCE_STATUS, namespaces: '0 []string o ?' },
  ContainerSource: kind('ContainerSource'),
  ContainerSourceSpec: { ...SOURCE_SPEC, template: `0 ${CORE}.PodTemplateSpec o ?` },
  ContainerSourceStatus: SOURCE_STATUS,
  SinkBinding: kind('SinkBinding'),
  SinkBindingSpec: { ...SOURCE_SPEC, subject: '0 TrackerReference o ?' },
  TrackerReference: {
    apiVersion: '0 string o ?',
    kind: '0 string o ?',
    namespace: '0 string o ?',
    name: '0 string o ?',
    selector: `0 ${META}.LabelSelector * o ?`,
  },
  SinkBindingStatus: { ...SOURCE_STATUS, oidcTokenSecretName: '0 string * o ?' },
};

const AWS_COMMON = {
  region: '0 string o ?',
  uriEndpointOverride: '0 string o ?',
  overrideEndpoint: '0 bool o ?',
  arn: '0 string o ?',
};

const sinks: TypeTexts = {
  JobSink: kind('JobSink'),
  JobSinkSpec: { job: '0 io.k8s.api.batch.v1.Job * o ?' },
  JobSinkStatus: { ...ADDRESSED, job: '0 JobStatus o ?' },
  JobStatus: { selector: '0 string o ?' },
  IntegrationSink: kind('IntegrationSink'),
  IntegrationSinkSpec: { aws: '0 Aws * o ?', log: '0 Log * o ?' },
  IntegrationSinkStatus: ADDRESSED,
  Log: {
    loggerName: '0 string o ?',
    level: '0 string o ?',
    logMask: '0 bool o ?',
    marker: '0 string o ?',
    multiline: '0 bool o ?',
    showAllProperties: '0 bool o ?',
    showBody: '0 bool o ?',
    showBodyType: '0 bool o ?',
    showExchangePattern: '0 bool o ?',
    showHeaders: '0 bool o ?',
    showProperties: '0 bool o ?',
    showStreams: '0 bool o ?',
    showCachedStreams: '0 bool o ?',
  },
  Aws: { s3: '0 AWSS3 * o ?', sqs: '0 AWSSQS * o ?', sns: '0 AWSSNS * o ?', auth: '0 Auth * o ?' },
  Auth: {
    secret: '0 Secret * o ?',
    accessKey: '0 string o ?',
    secretKey: '0 string o ?',
    serviceAccountName: '0 string o ?',
  },
  Secret: { ref: '0 SecretReference * o ?' },
  SecretReference: { name: '0 string o ?' },
  AWSS3: {
    ...AWS_COMMON,
    deleteAfterRead: '0 bool o ?',
    moveAfterRead: '0 bool o ?',
    destinationBucket: '0 string o ?',
    destinationBucketPrefix: '0 string o ?',
    destinationBucketSuffix: '0 string o ?',
    autoCreateBucket: '0 bool o ?',
    prefix: '0 string o ?',
    ignoreBody: '0 bool o ?',
    forcePathStyle: '0 bool o ?',
    delay: '0 int32 o ?',
    maxMessagesPerPoll: '0 int32 o ?',
  },
  AWSSQS: {
    ...AWS_COMMON,
    deleteAfterRead: '0 bool o ?',
    autoCreateQueue: '0 bool o ?',
    host: '0 string o ?',
    protocol: '0 string o ?',
    queueURL: '0 string o ?',
    greedy: '0 bool o ?',
    delay: '0 int32 o ?',
    maxMessagesPerPoll: '0 int32 o ?',
    waitTimeSeconds: '0 int32 o ?',
    visibilityTimeout: '0 int32 o ?',
  },
  AWSSNS: { ...AWS_COMMON, autoCreateTopic: '0 bool o ?' },
};

/** Petrel's own: any source or sink there is a module for. */
const own: TypeTexts = {
  EventSource: kind('EventSource'),
  EventSourceSpec: {
    type: '0 string o ?',
    config: '0 any o ?',
    ...SOURCE_SPEC,
    reply: `0 ${DUCK}.Destination * o ?`,
    delivery: DELIVERY,
    paused: '0 bool o ?',
  },
  EventSourceStatus: { ...SOURCE_STATUS, address: `0 ${SERVING}.Addressable * o ?` },
  EventSink: kind('EventSink'),
  EventSinkSpec: { type: '0 string o ?', config: '0 any o ?' },
  EventSinkStatus: {
    status: `0 ${SERVING}.Status inline`,
    address: `0 ${SERVING}.Addressable * o ?`,
    addresses: `0 []${SERVING}.Addressable o ?`,
  },
};

export const SOURCE_PACKAGES: Record<string, TypeTexts> = {
  'dev.knative.sources.v1': sources,
  'dev.knative.sources.v1beta1': kafka,
  'dev.knative.sources.v1beta2': ping,
};
export const SINK_PACKAGES: Record<string, TypeTexts> = {
  'dev.knative.sinks.v1alpha1': sinks,
  'dev.petrel.events.v1': own,
};
