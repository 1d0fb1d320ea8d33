/** The objects of eventing, as far as controllers read and write them. Source: knative.dev/eventing `pkg/apis`, knative.dev/pkg `apis/duck/v1`. */
import type { Condition, Json, KubeObject, UntypedObject } from '../object.ts';

/** A reference to an object; `apiVersion` is there after admission, unless `group` stands for it. */
export interface KReference {
  kind: string;
  name: string;
  namespace?: string;
  apiVersion?: string;
  group?: string;
  /** Which of several addresses, by name. */
  address?: string;
}

/** Where events go. */
export interface Destination {
  ref?: KReference;
  /** Absolute, or relative to the address of `ref`. */
  uri?: string;
  CACerts?: string;
  audience?: string;
}

export interface DeliverySpec {
  deadLetterSink?: Destination;
  retry?: number;
  /** ISO 8601, as the other durations. */
  timeout?: string;
  backoffPolicy?: 'linear' | 'exponential';
  backoffDelay?: string;
  retryAfterMax?: string;
  format?: 'json' | 'binary';
}

export interface Addressable {
  name?: string;
  url?: string;
  CACerts?: string;
  audience?: string;
}

export interface DeliveryStatus {
  deadLetterSinkUri?: string;
  deadLetterSinkCACerts?: string;
  deadLetterSinkAudience?: string;
}

/** What every status has. */
export interface EventingStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  annotations?: Record<string, string>;
}

export interface AddressStatus {
  address?: Addressable;
  addresses?: Addressable[];
}

/** An object of eventing with that spec and status. */
export interface EventingObject<Spec = unknown, Status extends EventingStatus = EventingStatus>
  extends KubeObject {
  spec: Spec;
  status?: Status;
}

export type BrokerStatus = EventingStatus & AddressStatus & DeliveryStatus;
export type Broker = EventingObject<{ config?: KReference; delivery?: DeliverySpec }, BrokerStatus>;

export interface TriggerSpec {
  broker?: string;
  brokerRef?: KReference;
  filter?: { attributes?: Record<string, string> };
  filters?: Json[];
  subscriber: Destination;
  delivery?: DeliverySpec;
}
export type TriggerStatus = EventingStatus &
  DeliveryStatus & { subscriberUri?: string; subscriberCACerts?: string; subscriberAudience?: string };
export type Trigger = EventingObject<TriggerSpec, TriggerStatus>;

export interface ChannelTemplateSpec {
  apiVersion: string;
  kind: string;
  spec?: Record<string, Json>;
}

/** A subscription as a channel itself has it. */
export interface SubscriberSpec {
  name?: string;
  uid: string;
  generation?: number;
  subscriberUri?: string;
  subscriberCACerts?: string;
  replyUri?: string;
  replyCACerts?: string;
  delivery?: DeliverySpec;
}

export interface SubscriberStatus {
  uid: string;
  observedGeneration?: number;
  ready: 'True' | 'False' | 'Unknown';
  message?: string;
}

export interface ChannelableSpec {
  subscribers?: SubscriberSpec[];
  delivery?: DeliverySpec;
}
export type ChannelableStatus = EventingStatus &
  AddressStatus &
  DeliveryStatus & { subscribers?: SubscriberStatus[] };
export type InMemoryChannel = EventingObject<ChannelableSpec, ChannelableStatus>;
export type Channel = EventingObject<
  ChannelableSpec & { channelTemplate: ChannelTemplateSpec },
  ChannelableStatus & { channel?: KReference }
>;

export interface SubscriptionObjectSpec {
  channel: KReference;
  subscriber?: Destination;
  reply?: Destination;
  delivery?: DeliverySpec;
}
export interface PhysicalSubscription extends DeliveryStatus {
  subscriberUri?: string;
  subscriberCACerts?: string;
  subscriberAudience?: string;
  replyUri?: string;
  replyCACerts?: string;
  replyAudience?: string;
}
export type Subscription = EventingObject<
  SubscriptionObjectSpec,
  EventingStatus & { physicalSubscription?: PhysicalSubscription }
>;

/** A part of a flow, in its status. */
export interface ObjectReference {
  apiVersion: string;
  kind: string;
  name: string;
  namespace?: string;
}
export interface ChannelPart {
  channel: ObjectReference;
  ready: Condition;
}
export interface SubscriptionPart {
  subscription: ObjectReference;
  ready: Condition;
}

export type Sequence = EventingObject<
  {
    steps: (Destination & { delivery?: DeliverySpec })[];
    channelTemplate: ChannelTemplateSpec;
    reply?: Destination;
  },
  EventingStatus & {
    channelStatuses?: ChannelPart[];
    subscriptionStatuses?: SubscriptionPart[];
    address?: Addressable;
  }
>;

export interface ParallelBranch {
  filter?: Destination;
  subscriber: Destination;
  reply?: Destination;
  delivery?: DeliverySpec;
}
export interface BranchStatus {
  filterSubscriptionStatus?: SubscriptionPart;
  filterChannelStatus?: ChannelPart;
  subscriberSubscriptionStatus?: SubscriptionPart;
}
export type Parallel = EventingObject<
  { branches: ParallelBranch[]; channelTemplate: ChannelTemplateSpec; reply?: Destination },
  EventingStatus & AddressStatus & { ingressChannelStatus?: ChannelPart; branchStatuses?: BranchStatus[] }
>;

/** As it is stored: v1beta2. */
export type EventType = EventingObject<{
  type: string;
  source?: string;
  schema?: string;
  schemaData?: string;
  broker?: string;
  reference?: KReference;
  description?: string;
}>;

export type EventPolicy = EventingObject<
  {
    to?: { ref?: { apiVersion: string; kind: string; name: string }; selector?: object }[];
    from?: { ref?: KReference; sub?: string }[];
    filters?: Json[];
  },
  EventingStatus & { from?: string[] }
>;

/** What every source says. */
export interface SourceObjectSpec {
  sink: Destination;
  ceOverrides?: { extensions?: Record<string, string> };
}
export type SourceObjectStatus = EventingStatus & {
  sinkUri?: string;
  sinkCACerts?: string;
  sinkAudience?: string;
  ceAttributes?: { type?: string; source?: string }[];
};
/** Any kind of source. */
export type SourceObject<Spec = unknown, Status = unknown> = EventingObject<
  SourceObjectSpec & Spec,
  SourceObjectStatus & Status
>;

export interface SecretKeyRef {
  secretKeyRef?: { name: string; key: string; optional?: boolean };
}

export type KafkaSource = SourceObject<
  {
    bootstrapServers: string[];
    topics: string[];
    consumerGroup: string;
    consumers?: number;
    initialOffset: 'earliest' | 'latest';
    ordering: 'ordered' | 'unordered';
    delivery?: DeliverySpec;
    net?: {
      sasl?: { enable?: boolean; user?: SecretKeyRef; password?: SecretKeyRef; type?: SecretKeyRef };
      tls?: { enable?: boolean; cert?: SecretKeyRef; key?: SecretKeyRef; caCert?: SecretKeyRef };
    };
  },
  { consumers?: number }
>;

export type PingSource = SourceObject<{
  schedule: string;
  timezone?: string;
  contentType?: string;
  data?: string;
  dataBase64?: string;
}>;

/** A LabelSelector. Absent selects nothing of its own, an empty one everything. */
export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface WatchedResource {
  apiVersion: string;
  kind: string;
  selector?: LabelSelector;
}

export type ApiServerSource = SourceObject<
  {
    resources: WatchedResource[];
    owner?: { apiVersion: string; kind: string };
    mode: 'Reference' | 'Resource';
    serviceAccountName: string;
    namespaceSelector?: LabelSelector;
    filters?: Json[];
  },
  { namespaces?: string[] }
>;

export type SinkBinding = SourceObject<{
  subject: { apiVersion: string; kind: string; namespace: string; name?: string; selector?: LabelSelector };
}>;

export type ContainerSource = SourceObject<{ template: UntypedObject }>;

export type EventSource = SourceObject<
  {
    type: string;
    config: Record<string, Json>;
    /** Where answers of the sink go. */
    reply?: Destination;
    delivery?: DeliverySpec;
    paused?: boolean;
  },
  { address?: Addressable }
>;

export type JobSink = EventingObject<
  { job: UntypedObject },
  EventingStatus & AddressStatus & { job?: { selector?: string } }
>;

export type EventTransform = EventingObject<
  {
    sink?: Destination;
    jsonata: { expression: string };
    reply?: { jsonata?: { expression: string }; discard?: boolean };
  },
  SourceObjectStatus & AddressStatus
>;

export type KafkaSink = EventingObject<
  {
    topic: string;
    numPartitions?: number;
    replicationFactor?: number;
    bootstrapServers: string[];
    contentMode: 'binary' | 'structured';
    auth?: { secret?: { ref?: { name: string } } };
  },
  EventingStatus & AddressStatus
>;

export type IntegrationSink = EventingObject<
  {
    log?: { level?: string; loggerName?: string; showHeaders?: boolean; showBody?: boolean };
    aws?: {
      s3?: { arn?: string; region?: string; uriEndpointOverride?: string; prefix?: string };
      sqs?: object;
      sns?: object;
      auth?: { secret?: { ref?: { name?: string } } };
    };
  },
  EventingStatus & AddressStatus
>;

export type EventSink = EventingObject<
  { type: string; config: Record<string, Json> },
  EventingStatus & AddressStatus
>;
