/**
 * Knative Eventing and what Petrel adds to it. Names and columns are those of the upstream CustomResourceDefinitions. Their rules and types are
 * read with the first object that is written; a platform without one pays for these rows alone.
 */
import { createRequire } from 'node:module';
import { AGE_PATH, NAME, pathColumn, READY_PATHS } from '../columns/common.ts';
import type { UntypedObject } from '../object.ts';
import type { ResourceDefinition, ResourceStrategy, StoredVersion } from '../resource.ts';
import { type Row, rows } from './row.ts';

const rules = (kind: string): ResourceStrategy =>
  (
    createRequire(import.meta.url)(
      '../strategies/eventing/index.ts',
    ) as typeof import('../strategies/eventing/index.ts')
  ).EVENTING_STRATEGIES[kind] ?? {};

const lazily = (kind: string): ResourceStrategy => ({
  setDefaults: (...args) => rules(kind).setDefaults?.(...args),
  deny: (...args) => rules(kind).deny?.(...args),
});

const url = pathColumn('URL', '.status.address.url');
const sink = pathColumn('Sink', '.status.sinkUri');
const reference = [
  pathColumn('Reference Name', '.spec.reference.name'),
  pathColumn('Reference Kind', '.spec.reference.kind'),
  pathColumn('Description', '.spec.description'),
];
const value = (name: string) => `.spec.attributes[?(@.name=='${name}')].value`;

const row = (
  kind: string,
  plural: string,
  categories: string[],
  columns: Row['columns'],
  more: Partial<Row> = {},
): Row => ({
  kind,
  plural,
  categories: ['all', 'knative', ...categories],
  columns: [NAME, ...columns],
  strategy: lazily(kind),
  subresources: ['status'],
  hasGeneration: true,
  ...more,
});

const EVENTING = ['eventing'];
const SOURCES = ['sources'];
const SINK = ['eventing', 'sink'];
const CHANNELS = ['messaging', 'channel'];
const addressed = [url, AGE_PATH, ...READY_PATHS];
const sourced = [sink, AGE_PATH, ...READY_PATHS];
const pinged = [sink, pathColumn('Schedule', '.spec.schedule'), AGE_PATH, ...READY_PATHS];
const topics = [
  pathColumn('Topics', '.spec.topics'),
  pathColumn('BootstrapServers', '.spec.bootstrapServers'),
  ...READY_PATHS,
  AGE_PATH,
];

/** The versions have the same fields. */
const same = (version: string): StoredVersion => ({ version, toStored() {}, fromStored() {} });

interface Attribute {
  name: string;
  required: boolean;
  value?: string;
}

/** EventType v1beta3 lists attributes where v1beta2, which is stored, has fields. Source: `eventtype_conversion.go`. */
const attributes: StoredVersion = {
  version: 'v1beta2',
  toStored({ spec }: UntypedObject) {
    if (spec === undefined) return;
    for (const attribute of (spec.attributes ?? []) as Attribute[]) {
      const field = attribute.name === 'schemadata' ? 'schema' : attribute.name;
      if (['type', 'source', 'schema'].includes(field) && attribute.value) spec[field] = attribute.value;
    }
    delete spec.attributes;
  },
  fromStored({ spec }: UntypedObject) {
    if (spec === undefined) return;
    const { type, source, schema, broker } = spec;
    const item = (name: string, text: string | undefined, required = true): Attribute => ({
      name,
      required,
      ...(text && { value: text }),
    });
    spec.attributes = [
      item('specversion', undefined),
      item('id', undefined),
      item('type', type),
      item('source', source),
      ...(schema ? [item('schemadata', schema, false)] : []),
    ];
    if (broker && !spec.reference)
      spec.reference = { kind: 'Broker', name: broker, apiVersion: 'eventing.knative.dev/v1' };
    for (const field of ['type', 'source', 'schema', 'schemaData', 'broker']) delete spec[field];
  },
};

const KAFKA_CATEGORIES = ['eventing', 'sources'];

export const EVENTING_RESOURCES: ResourceDefinition[] = [
  ...rows('eventing.knative.dev', 'v1', 'dev.knative.eventing.v1', [
    row('Broker', 'brokers', EVENTING, [
      url,
      AGE_PATH,
      ...READY_PATHS,
      pathColumn('Class', '.metadata.annotations.eventing\\.knative\\.dev/broker\\.class'),
    ]),
    row('Trigger', 'triggers', EVENTING, [
      pathColumn('Broker', '.spec.broker'),
      pathColumn('Subscriber_URI', '.status.subscriberUri'),
      AGE_PATH,
      ...READY_PATHS,
    ]),
  ]),
  ...rows('eventing.knative.dev', 'v1beta3', 'dev.knative.eventing.v1beta3', [
    row(
      'EventType',
      'eventtypes',
      EVENTING,
      [
        pathColumn('Type', value('type')),
        pathColumn('Source', value('source')),
        ...reference,
        ...READY_PATHS,
      ],
      { storedAs: attributes },
    ),
  ]),
  ...rows('eventing.knative.dev', 'v1beta2', 'dev.knative.eventing.v1beta2', [
    row('EventType', 'eventtypes', EVENTING, [
      pathColumn('Type', '.spec.type'),
      pathColumn('Source', '.spec.source'),
      pathColumn('Schema', '.spec.schema'),
      ...reference,
      ...READY_PATHS,
    ]),
  ]),
  ...rows('eventing.knative.dev', 'v1alpha1', 'dev.knative.eventing.v1alpha1', [
    row('EventPolicy', 'eventpolicies', EVENTING, READY_PATHS),
    row('EventTransform', 'eventtransforms', EVENTING, [url, sink, ...READY_PATHS]),
    row('KafkaSink', 'kafkasinks', EVENTING, addressed),
  ]),
  ...rows('messaging.knative.dev', 'v1', 'dev.knative.messaging.v1', [
    row('Channel', 'channels', CHANNELS, addressed, { shortNames: ['ch'] }),
    row('InMemoryChannel', 'inmemorychannels', CHANNELS, addressed, { shortNames: ['imc'] }),
    row('Subscription', 'subscriptions', ['messaging'], [AGE_PATH, ...READY_PATHS], { shortNames: ['sub'] }),
  ]),
  ...rows('flows.knative.dev', 'v1', 'dev.knative.flows.v1', [
    row('Sequence', 'sequences', ['flows'], addressed),
    row('Parallel', 'parallels', ['flows'], addressed),
  ]),
  ...rows('sources.knative.dev', 'v1', 'dev.knative.sources.v1', [
    row('PingSource', 'pingsources', SOURCES, pinged),
    row('ApiServerSource', 'apiserversources', SOURCES, sourced),
    row('ContainerSource', 'containersources', SOURCES, sourced),
    row('SinkBinding', 'sinkbindings', ['sources', 'bindings'], sourced),
    row('KafkaSource', 'kafkasources', KAFKA_CATEGORIES, topics),
  ]),
  ...rows('sources.knative.dev', 'v1beta2', 'dev.knative.sources.v1beta2', [
    row('PingSource', 'pingsources', SOURCES, pinged, { storedAs: same('v1') }),
  ]),
  ...rows('sources.knative.dev', 'v1beta1', 'dev.knative.sources.v1beta1', [
    row('KafkaSource', 'kafkasources', KAFKA_CATEGORIES, topics, { storedAs: same('v1') }),
  ]),
  ...rows('sinks.knative.dev', 'v1alpha1', 'dev.knative.sinks.v1alpha1', [
    row('JobSink', 'jobsinks', SINK, addressed),
    row('IntegrationSink', 'integrationsinks', SINK, addressed),
  ]),
  ...rows('petrel.dev', 'v1', 'dev.petrel.events.v1', [
    row(
      'EventSource',
      'eventsources',
      [],
      [pathColumn('Type', '.spec.type'), sink, ...READY_PATHS, AGE_PATH],
      { shortNames: ['esource'], categories: ['all', 'sources'] },
    ),
    row('EventSink', 'eventsinks', [], [pathColumn('Type', '.spec.type'), url, ...READY_PATHS, AGE_PATH], {
      shortNames: ['esink'],
      categories: ['all'],
    }),
  ]),
];
