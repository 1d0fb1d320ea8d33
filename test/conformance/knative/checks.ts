/** What a Service, its Configuration, Revision and Route, and the Kubernetes Service beside them have to look like. */
import assert from 'node:assert/strict';
import type { KubeObject } from '../../../src/kinds/object.ts';
import type { Service } from '../../../src/kinds/serving.ts';
import { SERVICES } from '../../../src/kube/refs.ts';
import { type Cluster, isReady } from './cluster.ts';

const LABEL = (name: string) => `serving.knative.dev/${name}`;
/** Annotations that tell who made and who last changed an object. */
const WHO = [LABEL('creator'), LABEL('lastModifier')];

/** The children of a Service agree that `revision`, of `generation`, is what there is and what gets the traffic. */
export async function assertControlPlane(
  cluster: Cluster,
  name: string,
  revision: string,
  generation: string,
): Promise<void> {
  const made = await cluster.revision(revision);
  assert.ok(isReady(made), `Revision ${revision} is ready`);
  assert.equal(made.metadata.labels?.[LABEL('configurationGeneration')], generation);
  const { status } = await cluster.configuration(name);
  assert.equal(status?.latestCreatedRevisionName, revision);
  assert.equal(status?.latestReadyRevisionName, revision);
  const route = await cluster.route(name);
  assert.deepEqual(
    route.status?.traffic?.map(({ revisionName, percent, latestRevision }) => ({
      revisionName,
      percent,
      latestRevision,
    })),
    [{ revisionName: revision, percent: 100, latestRevision: true }],
  );
}

/** The labels by which the objects of a Service are found. */
export async function assertLabels(cluster: Cluster, name: string, revision: string): Promise<void> {
  const { metadata } = await cluster.revision(revision);
  assert.equal(metadata.labels?.[LABEL('configuration')], name);
  assert.equal(metadata.labels?.[LABEL('service')], name);
  for (const { metadata: child } of [await cluster.configuration(name), await cluster.route(name)])
    assert.equal(child.labels?.[LABEL('service')], name);
}

/** Service, Route and Configuration tell who wrote them, and carry the Service's own annotations. */
export async function assertAnnotations(cluster: Cluster, name: string, ...own: string[]): Promise<void> {
  const objects = await Promise.all([
    cluster.service(name),
    cluster.route(name),
    cluster.configuration(name),
  ]);
  for (const { kind, metadata } of objects)
    for (const key of [...WHO, ...own])
      assert.ok(metadata.annotations?.[key], `${kind} ${name} has annotation ${key}`);
}

/** The Kubernetes Service by which other programs of the cluster reach the Route. */
function placeholder(cluster: Cluster, name: string): Promise<KubeObject> {
  return cluster.get<KubeObject>(SERVICES, name);
}

export async function assertPlaceholderLabels(
  cluster: Cluster,
  name: string,
  ...own: string[]
): Promise<void> {
  const { metadata } = await placeholder(cluster, name);
  assert.equal(metadata.labels?.[LABEL('service')], name);
  assert.equal(metadata.labels?.[LABEL('route')], name);
  for (const key of own) assert.ok(metadata.labels?.[key], `label ${key}`);
}

export async function assertPlaceholderAnnotations(
  cluster: Cluster,
  name: string,
  ...own: string[]
): Promise<void> {
  const { metadata } = await placeholder(cluster, name);
  for (const key of [...WHO, ...own]) assert.ok(metadata.annotations?.[key], `annotation ${key}`);
}

/** Reason and message of `Ready` say something. */
export function assertExplained({ kind, metadata, status }: Omit<Service, 'spec'>): void {
  const { reason, message } = status?.conditions?.find(({ type }) => type === 'Ready') ?? {};
  assert.ok(
    reason && message,
    `${kind} ${metadata.name} explains itself: ${JSON.stringify(status?.conditions)}`,
  );
}

/** The Service has failed, and says so of its Configuration and of its Route. */
export function hasFailedWithChildren({ metadata, status }: Service): boolean {
  const failed = (type: string) => status?.conditions?.find((one) => one.type === type)?.status === 'False';
  return (
    status?.observedGeneration === metadata.generation &&
    ['Ready', 'RoutesReady', 'ConfigurationsReady'].every(failed)
  );
}
