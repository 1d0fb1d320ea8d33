/**
 * Types of Knative Eventing and of what Petrel adds to it, in the form of the type table (`type-table.ts`), by package. Read with the first
 * object of them. Source: knative.dev/eventing `pkg/apis`, knative-extensions/eventing-kafka-broker `control-plane/pkg/apis`,
 * knative.dev/pkg `apis/duck/v1`.
 */
import type { TypeTexts } from './type-table.ts';
import { SINK_PACKAGES, SOURCE_PACKAGES } from './types-eventing-sources.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const DUCK = 'dev.knative.duck.v1';
const SERVING = 'dev.knative.serving.v1';
const CORE = 'io.k8s.api.core.v1';
const DELIVERY = `0 ${DUCK}.DeliverySpec * o ?`;
const DESTINATION = `0 ${DUCK}.Destination`;
const REFERENCE = `0 ${DUCK}.KReference`;
const ADDRESS = {
  address: `0 ${SERVING}.Addressable * o ?`,
  addresses: `0 []${SERVING}.Addressable o ?`,
};
const POLICIES = { policies: `0 []${DUCK}.AppliedEventPolicyRef o ?` };
const STATUS = { status: `0 ${SERVING}.Status inline` };
const DEAD_LETTERS = { deliveryStatus: `0 ${DUCK}.DeliveryStatus inline` };
const AUTH = { auth: `0 ${DUCK}.AuthStatus * o ?` };

/** A kind of this package: `<name>Spec`, `<name>Status`. */
const kind = (name: string): Record<string, string> => ({
  '': 'kind',
  metadata: `0 ${META}.ObjectMeta o ?`,
  spec: `0 ${name}Spec o ?`,
  status: `0 ${name}Status o ?`,
});

const duck: TypeTexts = {
  KReference: {
    kind: '0 string',
    namespace: '0 string o ?',
    name: '0 string',
    apiVersion: '0 string o ?',
    group: '0 string o ?',
    address: '0 string * o ?',
  },
  Destination: {
    ref: '0 KReference * o ?',
    uri: '0 string o ?',
    CACerts: '0 string * o ?',
    audience: '0 string * o ?',
  },
  DeliverySpec: {
    deadLetterSink: '0 Destination * o ?',
    retry: '0 int32 * o ?',
    timeout: '0 string * o ?',
    backoffPolicy: '0 string * o ?',
    backoffDelay: '0 string * o ?',
    retryAfterMax: '0 string * o ?',
    format: '0 string * o ?',
  },
  DeliveryStatus: {
    deadLetterSinkUri: '0 string o ?',
    deadLetterSinkCACerts: '0 string * o ?',
    deadLetterSinkAudience: '0 string * o ?',
  },
  AuthStatus: { serviceAccountName: '0 string * o ?', serviceAccountNames: '0 []string o ?' },
  AppliedEventPolicyRef: { apiVersion: '0 string', name: '0 string' },
  SourceSpec: { sink: '0 Destination o ?', ceOverrides: '0 CloudEventOverrides * o ?' },
  CloudEventOverrides: { extensions: '0 {}string o ?' },
  SourceStatus: {
    ...STATUS,
    sinkUri: '0 string o ?',
    ceAttributes: '0 []CloudEventAttributes o ?',
    sinkCACerts: '0 string * o ?',
    sinkAudience: '0 string * o ?',
    auth: '0 AuthStatus * o ?',
  },
  CloudEventAttributes: { type: '0 string o ?', source: '0 string o ?' },
  SubscriberSpec: {
    name: '0 string * o ?',
    uid: '0 string o ?',
    generation: '0 int64 o ?',
    subscriberUri: '0 string o ?',
    subscriberCACerts: '0 string * o ?',
    subscriberAudience: '0 string * o ?',
    replyUri: '0 string o ?',
    replyCACerts: '0 string * o ?',
    replyAudience: '0 string * o ?',
    delivery: '0 DeliverySpec * o ?',
    auth: '0 AuthStatus * o ?',
  },
  SubscriberStatus: {
    uid: '0 string o ?',
    observedGeneration: '0 int64 o ?',
    ready: '0 string o ?',
    message: '0 string o ?',
    auth: '0 AuthStatus * o ?',
  },
  ChannelableSpec: { subscribers: '0 []SubscriberSpec o ?', delivery: '0 DeliverySpec * o ?' },
  ChannelableStatus: {
    ...STATUS,
    ...ADDRESS,
    subscribers: '0 []SubscriberStatus o ?',
    deliveryStatus: '0 DeliveryStatus inline',
    ...POLICIES,
  },
  Filter: {
    all: '0 []Filter o ?',
    any: '0 []Filter o ?',
    not: '0 Filter * o ?',
    exact: '0 {}string o ?',
    prefix: '0 {}string o ?',
    suffix: '0 {}string o ?',
    cesql: '0 string o ?',
  },
};

const eventingV1: TypeTexts = {
  Broker: kind('Broker'),
  BrokerSpec: { config: `${REFERENCE} * o ?`, delivery: DELIVERY },
  BrokerStatus: { ...STATUS, ...ADDRESS, ...DEAD_LETTERS, ...POLICIES },
  Trigger: kind('Trigger'),
  TriggerSpec: {
    broker: '0 string o ?',
    brokerRef: `${REFERENCE} * o ?`,
    filter: '0 TriggerFilter * o ?',
    filters: `0 []${DUCK}.Filter o ?`,
    subscriber: DESTINATION,
    delivery: DELIVERY,
  },
  TriggerFilter: { attributes: '0 {}string o ?' },
  TriggerStatus: {
    ...STATUS,
    subscriberUri: '0 string o ?',
    subscriberCACerts: '0 string * o ?',
    subscriberAudience: '0 string * o ?',
    ...DEAD_LETTERS,
    ...AUTH,
  },
};

const eventingAlpha: TypeTexts = {
  EventPolicy: kind('EventPolicy'),
  EventPolicySpec: {
    to: '0 []EventPolicySpecTo o ?',
    from: '0 []EventPolicySpecFrom o ?',
    filters: `0 []${DUCK}.Filter o ?`,
  },
  EventPolicySpecTo: { ref: '0 EventPolicyToReference * o ?', selector: '0 EventPolicySelector * o ?' },
  EventPolicySelector: {
    matchLabels: '0 {}string o ?',
    matchExpressions: `0 []${META}.LabelSelectorRequirement o ?`,
    apiVersion: '0 string o ?',
    kind: '0 string o ?',
  },
  EventPolicySpecFrom: { ref: '0 EventPolicyFromReference * o ?', sub: '0 string * o ?' },
  EventPolicyToReference: { apiVersion: '0 string o ?', kind: '0 string o ?', name: '0 string o ?' },
  EventPolicyFromReference: {
    apiVersion: '0 string o ?',
    kind: '0 string o ?',
    name: '0 string o ?',
    namespace: '0 string o ?',
  },
  EventPolicyStatus: { ...STATUS, from: '0 []string o ?' },
  EventTransform: kind('EventTransform'),
  EventTransformSpec: {
    sink: `${DESTINATION} * o ?`,
    reply: '0 ReplySpec * o ?',
    jsonata: '0 JsonataEventTransformationSpec * o ?',
  },
  ReplySpec: { jsonata: '0 JsonataEventTransformationSpec * o ?', discard: '0 bool * o ?' },
  JsonataEventTransformationSpec: { expression: '0 string o ?' },
  EventTransformStatus: {
    sourceStatus: `0 ${DUCK}.SourceStatus inline`,
    ...ADDRESS,
    ...POLICIES,
    jsonata: '0 JsonataEventTransformationStatus * o ?',
  },
  JsonataEventTransformationStatus: { deployment: '0 io.k8s.api.apps.v1.DeploymentStatus o ?' },
  KafkaSink: kind('KafkaSink'),
  KafkaSinkSpec: {
    topic: '0 string o ?',
    numPartitions: '0 int32 * o ?',
    replicationFactor: '0 int32 * o ?',
    bootstrapServers: '0 []string o ?',
    contentMode: '0 string * o ?',
    auth: '0 KafkaSinkAuth * o ?',
  },
  KafkaSinkAuth: { secret: '0 KafkaSinkSecret * o ?' },
  KafkaSinkSecret: { ref: '0 KafkaSinkSecretReference * o ?' },
  KafkaSinkSecretReference: { name: '0 string o ?' },
  KafkaSinkStatus: { ...STATUS, ...ADDRESS, ...POLICIES },
};

const eventTypeBeta2: TypeTexts = {
  EventType: kind('EventType'),
  EventTypeSpec: {
    type: '0 string o ?',
    source: '0 string o ?',
    schema: '0 string o ?',
    schemaData: '0 string o ?',
    broker: '0 string o ?',
    reference: `${REFERENCE} * o ?`,
    description: '0 string o ?',
  },
  EventTypeStatus: STATUS,
};

const eventTypeBeta3: TypeTexts = {
  EventType: kind('EventType'),
  EventTypeSpec: {
    reference: `${REFERENCE} * o ?`,
    description: '0 string o ?',
    attributes: '0 []EventAttributeDefinition o ?',
  },
  EventAttributeDefinition: { name: '0 string', required: '0 bool', value: '0 string o ?' },
  EventTypeStatus: STATUS,
};

const messaging: TypeTexts = {
  Channel: kind('Channel'),
  ChannelSpec: {
    channelTemplate: '0 ChannelTemplateSpec * o ?',
    channelable: `0 ${DUCK}.ChannelableSpec inline`,
  },
  ChannelTemplateSpec: { apiVersion: '0 string o ?', kind: '0 string o ?', spec: '0 any o ?' },
  ChannelStatus: {
    channelableStatus: `0 ${DUCK}.ChannelableStatus inline`,
    channel: `${REFERENCE} * o ?`,
  },
  InMemoryChannel: kind('InMemoryChannel'),
  InMemoryChannelSpec: { channelable: `0 ${DUCK}.ChannelableSpec inline` },
  InMemoryChannelStatus: { channelableStatus: `0 ${DUCK}.ChannelableStatus inline` },
  Subscription: kind('Subscription'),
  SubscriptionSpec: {
    channel: `${REFERENCE} o ?`,
    subscriber: `${DESTINATION} * o ?`,
    reply: `${DESTINATION} * o ?`,
    delivery: DELIVERY,
  },
  SubscriptionStatus: { ...STATUS, physicalSubscription: '0 PhysicalSubscription o ?', ...AUTH },
  PhysicalSubscription: {
    subscriberUri: '0 string o ?',
    subscriberCACerts: '0 string * o ?',
    subscriberAudience: '0 string * o ?',
    replyUri: '0 string o ?',
    replyCACerts: '0 string * o ?',
    replyAudience: '0 string * o ?',
    ...DEAD_LETTERS,
  },
};

const TEMPLATE = '0 dev.knative.messaging.v1.ChannelTemplateSpec * o ?';
const PART = (field: string) => ({
  [field]: `0 ${CORE}.ObjectReference o ?`,
  ready: `0 ${SERVING}.Condition o ?`,
});

const flows: TypeTexts = {
  Sequence: kind('Sequence'),
  SequenceSpec: {
    steps: '0 []SequenceStep o ?',
    channelTemplate: TEMPLATE,
    reply: `${DESTINATION} * o ?`,
  },
  SequenceStep: { destination: `${DESTINATION} inline`, delivery: DELIVERY },
  SequenceStatus: {
    ...STATUS,
    subscriptionStatuses: '0 []FlowSubscriptionStatus o ?',
    channelStatuses: '0 []FlowChannelStatus o ?',
    address: `0 ${SERVING}.Addressable * o ?`,
    ...AUTH,
    ...POLICIES,
  },
  FlowChannelStatus: PART('channel'),
  FlowSubscriptionStatus: PART('subscription'),
  Parallel: kind('Parallel'),
  ParallelSpec: {
    branches: '0 []ParallelBranch o ?',
    channelTemplate: TEMPLATE,
    reply: `${DESTINATION} * o ?`,
  },
  ParallelBranch: {
    filter: `${DESTINATION} * o ?`,
    subscriber: `${DESTINATION} o ?`,
    reply: `${DESTINATION} * o ?`,
    delivery: DELIVERY,
  },
  ParallelStatus: {
    ...STATUS,
    ingressChannelStatus: '0 FlowChannelStatus o ?',
    branchStatuses: '0 []ParallelBranchStatus o ?',
    ...ADDRESS,
    ...AUTH,
    ...POLICIES,
  },
  ParallelBranchStatus: {
    filterSubscriptionStatus: '0 FlowSubscriptionStatus o ?',
    filterChannelStatus: '0 FlowChannelStatus o ?',
    subscriberSubscriptionStatus: '0 FlowSubscriptionStatus o ?',
  },
};

/** Package → its messages. */
export const EVENTING_PACKAGES: Record<string, TypeTexts> = {
  'dev.knative.duck.v1': duck,
  'dev.knative.eventing.v1': eventingV1,
  'dev.knative.eventing.v1alpha1': eventingAlpha,
  'dev.knative.eventing.v1beta2': eventTypeBeta2,
  'dev.knative.eventing.v1beta3': eventTypeBeta3,
  'dev.knative.messaging.v1': messaging,
  'dev.knative.flows.v1': flows,
  ...SOURCE_PACKAGES,
  ...SINK_PACKAGES,
};
