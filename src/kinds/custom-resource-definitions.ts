/**
 * The kinds that on another cluster would come as CustomResourceDefinitions, shown as such: tools find addressable
 * kinds and sources by the labels, installers wait for `Established`. Source: knative.dev/serving `config/core/300-resources`, knative.dev/eventing `config/core/resources`.
 */
import { createHash } from 'node:crypto';
import { column, NAME } from './columns/common.ts';
import type { UntypedObject } from './object.ts';
import type { Registry } from './registry.ts';
import type { ResourceDefinition } from './resource.ts';
import { rows } from './resources/row.ts';

/** The row of CustomResourceDefinitions themselves; not in the registry, for nothing can be written. */
export const DEFINITIONS: ResourceDefinition[] = rows(
  'apiextensions.k8s.io',
  'v1',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
  [
    {
      kind: 'CustomResourceDefinition',
      plural: 'customresourcedefinitions',
      shortNames: ['crd', 'crds'],
      categories: ['api-extensions'],
      namespaced: false,
      columns: [NAME, column('Created At', 'string', (o) => o.metadata.creationTimestamp ?? '')],
    },
  ],
);

const ADDRESSABLE = { 'duck.knative.dev/addressable': 'true' };
const SUBSCRIBABLE = { 'messaging.knative.dev/subscribable': 'true' };
const SOURCE = { 'eventing.knative.dev/source': 'true', 'duck.knative.dev/source': 'true' };
const PODSPECABLE = { 'duck.knative.dev/podspecable': 'true' };
/** Labels by which clients find kinds, besides the one that all of Knative's have. */
const LABELS: Record<string, Record<string, string>> = {
  'services.serving.knative.dev': { ...ADDRESSABLE, ...PODSPECABLE },
  'configurations.serving.knative.dev': PODSPECABLE,
  'routes.serving.knative.dev': ADDRESSABLE,
  'brokers.eventing.knative.dev': ADDRESSABLE,
  'eventtransforms.eventing.knative.dev': ADDRESSABLE,
  'kafkasinks.eventing.knative.dev': ADDRESSABLE,
  'channels.messaging.knative.dev': { ...SUBSCRIBABLE, ...ADDRESSABLE },
  'inmemorychannels.messaging.knative.dev': { ...SUBSCRIBABLE, ...ADDRESSABLE },
  'sequences.flows.knative.dev': ADDRESSABLE,
  'parallels.flows.knative.dev': ADDRESSABLE,
  'pingsources.sources.knative.dev': SOURCE,
  'apiserversources.sources.knative.dev': SOURCE,
  'containersources.sources.knative.dev': SOURCE,
  'sinkbindings.sources.knative.dev': { ...SOURCE, 'duck.knative.dev/binding': 'true' },
  'kafkasources.sources.knative.dev': SOURCE,
  'jobsinks.sinks.knative.dev': ADDRESSABLE,
  'integrationsinks.sinks.knative.dev': ADDRESSABLE,
  'eventsources.petrel.dev': SOURCE,
  'eventsinks.petrel.dev': ADDRESSABLE,
};

const isCustom = ({ group }: ResourceDefinition): boolean =>
  group.endsWith('.knative.dev') || group === 'petrel.dev' || group === 'fission.io';

/** One definition for each kind of ours. `createdAt`: RFC 3339. */
export function customResourceDefinitions(registry: Registry, createdAt: string): UntypedObject[] {
  const byName = new Map<string, ResourceDefinition[]>();
  for (const resource of registry.all.filter(isCustom)) {
    const name = `${resource.plural}.${resource.group}`;
    byName.set(name, [...(byName.get(name) ?? []), resource]);
  }
  return [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, versions]) => definition(name, versions, createdAt));
}

function definition(name: string, versions: ResourceDefinition[], createdAt: string): UntypedObject {
  const first = versions[0] as ResourceDefinition;
  const { group, kind, plural, singular, shortNames, categories, namespaced } = first;
  const names = {
    plural,
    singular,
    kind,
    listKind: `${kind}List`,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
  };
  const ofKnative = group.endsWith('.knative.dev');
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: 'True',
    lastTransitionTime: createdAt,
    reason,
    message,
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name,
      uid: uidOf(name),
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: createdAt,
      labels: { ...(ofKnative && { 'knative.dev/crd-install': 'true' }), ...LABELS[name] },
    },
    spec: {
      group,
      names,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      versions: versions.map((version) => versionOf(version, version.storedAs === undefined)),
      conversion: { strategy: 'None' },
    },
    status: {
      acceptedNames: names,
      storedVersions: versions.filter((v) => v.storedAs === undefined).map((v) => v.version),
      conditions: [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
    },
  };
}

function versionOf({ version, subresources, columns }: ResourceDefinition, storage: boolean): object {
  const printed = columns.flatMap(({ name, type, jsonPath }) =>
    jsonPath === undefined ? [] : [{ name, type, jsonPath }],
  );
  return {
    name: version,
    served: true,
    storage,
    // The fields are in /openapi/v3, where clients look for them.
    schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    ...(subresources.includes('status') && { subresources: { status: {} } }),
    ...(printed.length > 0 && { additionalPrinterColumns: printed }),
  };
}

/** Always the same for the same name, in the form of a UUID. */
function uidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `5${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
