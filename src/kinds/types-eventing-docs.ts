/** One-line descriptions of eventing's types for `kubectl explain`, by package; `` is the type itself. Read for OpenAPI only. */
import type { TypeTexts } from './type-table.ts';

const SINK = 'Where events go.';
const DELIVERY = 'What is done when a delivery fails.';
const STATUS = 'What the platform sees.';
const KIND = { spec: 'What is wanted.', status: STATUS };

const duck: TypeTexts = {
  KReference: {
    '': 'KReference names an object.',
    namespace: 'Default: that of the object it stands in.',
    address: 'Which of several addresses, by name.',
  },
  Destination: {
    '': 'Destination is an object that has an address, or a URI.',
    ref: 'Anything addressable: a Function, a Knative or Kubernetes Service, a Broker, a channel, a sink.',
    uri: 'Absolute, or relative to the address of `ref`.',
    CACerts: 'Certificates that are trusted besides the usual ones, PEM.',
    audience: 'Who a token is for.',
  },
  DeliverySpec: {
    '': 'DeliverySpec says what is done when a delivery fails.',
    deadLetterSink:
      'Gets what nobody has taken, with `knativeerrordest`, `knativeerrorcode` and `knativeerrordata`.',
    retry: 'Further attempts after the first.',
    timeout: 'Of one attempt, ISO 8601: `PT10S`.',
    backoffPolicy: 'linear: delay × n; exponential: delay × 2^n. n counts from 0.',
    backoffDelay: 'ISO 8601: `PT0.2S`. Without it, or without a policy, attempts follow at once.',
    retryAfterMax: 'Retry-After of 429 and 503 is honoured up to this, ISO 8601.',
    format: 'json or binary. Absent: as the event came.',
  },
  SourceSpec: { sink: SINK, ceOverrides: 'Attributes that all events of this source get.' },
  CloudEventOverrides: { extensions: 'Extension attributes by name.' },
  Filter: {
    '': 'Filter has exactly one of these.',
    all: 'All of them must hold.',
    any: 'One of them must hold.',
    not: 'It must not hold.',
    exact: 'Attributes have these values.',
    prefix: 'Attributes begin so.',
    suffix: 'Attributes end so.',
    cesql: 'A CloudEvents SQL expression that must be true.',
  },
  ChannelableSpec: {
    subscribers: 'Who gets the events. Those with a name are Subscriptions, and written by the platform.',
    delivery: DELIVERY,
  },
};

const eventing: TypeTexts = {
  Broker: { '': 'Broker takes events, keeps them, and delivers them to its Triggers.', ...KIND },
  BrokerSpec: {
    config: 'What configures brokers of this class.',
    delivery: 'For Triggers that have none of their own.',
  },
  Trigger: { '': 'Trigger delivers those events of a Broker that its filters let through.', ...KIND },
  TriggerSpec: {
    broker: 'The Broker, in the same namespace. Never changes.',
    brokerRef: 'The Broker of another namespace, where the feature cross-namespace-event-links is on.',
    filter: 'The older way to filter; `filters` wins.',
    filters: 'All of them must hold. None: every event.',
    subscriber: 'Who gets the events. An event that it answers goes to the Broker.',
    delivery: "Instead of the Broker's.",
  },
  TriggerFilter: { attributes: 'Attributes have these values; an empty one: the attribute is there.' },
};

const alpha: TypeTexts = {
  EventPolicy: {
    '': 'EventPolicy says who may send events where. Senders are not authenticated here: it is not enforced.',
    ...KIND,
  },
  EventTransform: { '': 'EventTransform makes events out of events, by a JSONata expression.', ...KIND },
  EventTransformSpec: {
    sink: 'Where the result goes. Absent: it is the answer.',
    reply: "What becomes of the sink's answer.",
    jsonata: 'An expression whose result is an event.',
  },
  KafkaSink: { '': 'KafkaSink is a Kafka topic as an address.', ...KIND },
  KafkaSinkSpec: {
    topic: 'Never changes.',
    numPartitions: 'The topic is made with so many, where it is not there.',
    contentMode: 'binary (default) or structured.',
    auth: 'A Secret with protocol, sasl.mechanism, user, password, ca.crt, user.crt, user.key.',
  },
};

const type = { EventType: { '': 'EventType writes down what a Broker or a channel brings.', ...KIND } };

const messaging: TypeTexts = {
  Channel: { '': 'Channel takes events, keeps them, and delivers them to all its Subscriptions.', ...KIND },
  ChannelSpec: { channelTemplate: 'What it is made of. Never changes.' },
  InMemoryChannel: {
    '': 'InMemoryChannel is a channel of this platform. Despite its name it is kept on disk.',
    ...KIND,
  },
  Subscription: { '': 'Subscription delivers the events of a channel.', ...KIND },
  SubscriptionSpec: {
    channel: 'Never changes.',
    subscriber: 'Who gets the events.',
    reply: 'Where its answers go, if they are events.',
    delivery: "Instead of the channel's.",
  },
};

const flows: TypeTexts = {
  Sequence: {
    '': 'Sequence gives each event to its steps in turn: the answer of one is what the next gets.',
    ...KIND,
  },
  SequenceSpec: {
    reply: 'Where the answer of the last step goes.',
    channelTemplate: 'The channels between the steps.',
  },
  Parallel: { '': 'Parallel gives each event to all its branches.', ...KIND },
  ParallelSpec: { reply: 'Where answers of branches go that have no reply of their own.' },
  ParallelBranch: {
    filter: 'What it answers goes to the subscriber; nothing: the event ends here. Absent: all events.',
  },
};

const sources: TypeTexts = {
  PingSource: { '': 'PingSource sends an event by the clock.', ...KIND },
  PingSourceSpec: {
    schedule: 'Cron: `0 9 * * 1-5`, with seconds in front where there are six fields, `@hourly`.',
    timezone: 'IANA, such as Europe/Berlin. Default UTC.',
    data: 'Text. Not with dataBase64.',
  },
  ApiServerSource: { '': 'ApiServerSource sends an event for each change of objects.', ...KIND },
  ApiServerSourceSpec: { mode: 'Resource: the object is the data. Reference (default): a reference to it.' },
  ContainerSource: { '': 'ContainerSource runs a container that sends events to $K_SINK.', ...KIND },
  SinkBinding: { '': 'SinkBinding gives $K_SINK to whatever has a Pod template.', ...KIND },
  KafkaSource: { '': 'KafkaSource sends the messages of Kafka topics as events.', ...KIND },
  KafkaSourceSpec: {
    consumers: '0 pauses it.',
    consumerGroup: 'Never changes. Default: one of its own.',
    initialOffset: 'Where a new group begins: latest (default) or earliest.',
    ordering: 'ordered (default): of a partition one after the other; unordered: in parallel.',
    net: 'SASL and TLS, from Secrets.',
    delivery: DELIVERY,
  },
};

const sinks: TypeTexts = {
  JobSink: { '': 'JobSink makes a Job for each event, with the event in /etc/jobsink-event/event.', ...KIND },
  IntegrationSink: { '': "IntegrationSink brings events into a bucket, or the platform's log.", ...KIND },
};

const own: TypeTexts = {
  EventSource: {
    '': 'EventSource brings events from anywhere: its type says from where, its config how.',
    ...KIND,
  },
  EventSourceSpec: {
    type: 'kafka, nats, redis, rabbitmq, mqtt, postgresql, s3, timer, webhook, http, files, kubernetes. Never changes.',
    config: 'As docs/sources says for the type. A value may be `{secretKeyRef: {name, key}}`.',
    delivery: DELIVERY,
    reply: 'Where answers of the sink go: events as they are, other bodies as the data of one.',
    paused: 'Nothing is fetched; what was accepted is kept.',
  },
  EventSink: { '': 'EventSink is a topic, a queue, a table or a bucket as an address.', ...KIND },
  EventSinkSpec: {
    type: 'kafka, nats, redis, rabbitmq, mqtt, postgresql, s3, log. Never changes.',
    config: 'As docs/sources says for the type. A value may be `{secretKeyRef: {name, key}}`.',
  },
};

export const EVENTING_DOCS: Record<string, TypeTexts> = {
  'dev.knative.duck.v1': duck,
  'dev.knative.eventing.v1': eventing,
  'dev.knative.eventing.v1alpha1': alpha,
  'dev.knative.eventing.v1beta2': type,
  'dev.knative.eventing.v1beta3': type,
  'dev.knative.messaging.v1': messaging,
  'dev.knative.flows.v1': flows,
  'dev.knative.sources.v1': sources,
  'dev.knative.sources.v1beta1': sources,
  'dev.knative.sources.v1beta2': sources,
  'dev.knative.sinks.v1alpha1': sinks,
  'dev.petrel.events.v1': own,
};
