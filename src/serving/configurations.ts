/** Configuration → one immutable Revision per generation; the newest ready one is what routes follow. */
import { isDeepStrictEqual } from 'node:util';
import { timestamp } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { conditionOf, conditionSet, readiness } from '../kinds/conditions.ts';
import type { Configuration, Revision } from '../kinds/serving.ts';
import { KubeError } from '../kube/client.ts';
import { splitKey } from '../kube/indexed-store.ts';
import { controllerReference, isControlledBy } from '../kube/owners.ts';
import { CONFIGURATIONS, REVISIONS } from '../kube/refs.ts';
import type { ServingContext } from './context.ts';
import { generationOf, LABELS, revisionName } from './names.ts';

const conditions = conditionSet();

/** The Revision of a Configuration's present generation. */
function desiredRevision(configuration: Configuration, now: number): Revision {
  const { metadata, spec } = configuration;
  const template = spec.template.metadata;
  const generation = metadata.generation ?? 1;
  const annotations: Record<string, string> = { ...template?.annotations };
  const author = metadata.annotations?.[LABELS.lastModifier];
  if (author) annotations[LABELS.creator] = author;
  const routes = metadata.annotations?.[LABELS.routes];
  if (routes) annotations[LABELS.routes] = routes;
  annotations[LABELS.routingStateModified] = timestamp(now);
  const labels: Record<string, string> = {
    ...template?.labels,
    [LABELS.configuration]: metadata.name,
    [LABELS.configurationGeneration]: String(generation),
    [LABELS.configurationUID]: metadata.uid ?? '',
    [LABELS.routingState]: routes ? 'active' : 'pending',
  };
  for (const label of [LABELS.service, LABELS.serviceUID]) {
    const value = metadata.labels?.[label];
    if (value) labels[label] = value;
  }
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: template?.name || revisionName(metadata.name, generation),
      namespace: metadata.namespace,
      labels,
      annotations,
      ownerReferences: [controllerReference(configuration)],
    },
    spec: spec.template.spec,
  };
}

/** Whether the Revision with the name that the user chose stands for something else than this Configuration asks for. */
export function revisionConflict(configuration: Configuration, revision: Revision | undefined): boolean {
  if (!revision) return false;
  if (!isControlledBy(revision, configuration)) return true;
  if (generationOf(revision) === configuration.metadata.generation) return false;
  return !isDeepStrictEqual(configuration.spec.template.spec, revision.spec);
}

export function createConfigurationReconciler(context: ServingContext) {
  const { client, caches, clock, events } = context;

  const revisionsOf = (configuration: Configuration): Revision[] =>
    caches.revisions
      .byIndex('configuration', `${configuration.metadata.namespace}/${configuration.metadata.name}`)
      .filter((revision) => isControlledBy(revision, configuration));

  /** The newest ready revision that is not older than the latest one known to be ready. */
  const newestReady = (configuration: Configuration): Revision | undefined => {
    const all = revisionsOf(configuration);
    const known = all.find(({ metadata }) => metadata.name === configuration.status?.latestReadyRevisionName);
    const chosen = configuration.spec.template.metadata?.name;
    const rank = (revision: Revision) =>
      revision.metadata.name === chosen ? Number.POSITIVE_INFINITY : generationOf(revision);
    const from = known ? generationOf(known) : 0;
    return all
      .filter((revision) => readiness(revision) === 'True' && rank(revision) >= from)
      .sort((a, b) => rank(b) - rank(a))[0];
  };

  return async (key: string): Promise<number | undefined> => {
    const { namespace, name } = splitKey(key);
    const configuration = caches.configurations.get(namespace, name);
    if (!configuration || configuration.metadata.deletionTimestamp) return undefined;
    const manager = conditions.manage(configuration.status?.conditions, clock.now());
    manager.initialize();
    const status: NonNullable<Configuration['status']> = { ...configuration.status };
    const finish = () => {
      status.conditions = manager.conditions;
      status.observedGeneration = configuration.metadata.generation;
      return context.writeStatus(CONFIGURATIONS, configuration, status);
    };
    const creationFailed = (message: string) => {
      manager.markFalse('Ready', 'RevisionFailed', `Revision creation failed with message: ${message}.`);
      return finish();
    };

    const chosen = configuration.spec.template.metadata?.name;
    let latest = chosen
      ? caches.revisions.get(namespace, chosen)
      : revisionsOf(configuration).find(
          (revision) => generationOf(revision) === configuration.metadata.generation,
        );
    if (chosen && revisionConflict(configuration, latest)) {
      return creationFailed(`revisions.serving.knative.dev "${chosen}" already exists`);
    }
    if (!latest) {
      try {
        latest = await client.create(REVISIONS, desiredRevision(configuration, clock.now()));
        events.record(configuration, 'Normal', 'Created', `Created Revision "${latest.metadata.name}"`);
      } catch (error) {
        // Ours, and only not in the cache yet: its arrival there brings us back.
        if (error instanceof KubeError && error.reason === 'AlreadyExists') throw error;
        const message = messageOf(error);
        events.record(configuration, 'Warning', 'CreationFailed', `Failed to create Revision: ${message}`);
        await creationFailed(message);
        throw error;
      }
    }

    const latestName = latest.metadata.name;
    status.latestCreatedRevisionName = latestName;
    const best = newestReady(configuration);
    const verdict = conditionOf(latest, 'Ready');
    const former = status.latestReadyRevisionName;
    if (best && best.metadata.name !== former) {
      status.latestReadyRevisionName = best.metadata.name;
      if (!former)
        events.record(configuration, 'Normal', 'ConfigurationReady', 'Configuration becomes ready');
      const message = `LatestReadyRevisionName updated to "${best.metadata.name}"`;
      events.record(configuration, 'Normal', 'LatestReadyUpdate', message);
    }
    const lost = former && former !== latestName && !caches.revisions.get(namespace, former);
    if (best?.metadata.name === latestName) manager.markTrue('Ready');
    else if (verdict?.status === 'False') {
      const before = conditionOf(configuration, 'Ready');
      manager.markFalse(
        'Ready',
        'RevisionFailed',
        `Revision "${latestName}" failed with message: ${verdict.message ?? ''}.`,
      );
      if (before?.message !== manager.get('Ready')?.message) {
        const [reason, words] =
          latestName === status.latestReadyRevisionName
            ? ['LatestReadyFailed', 'Latest ready']
            : ['LatestCreatedFailed', 'Latest created'];
        events.record(configuration, 'Warning', reason, `${words} revision "${latestName}" has failed`);
      }
    } else if (lost && !best)
      manager.markFalse('Ready', 'RevisionDeleted', `Revision "${former}" was deleted.`);
    else if (status.latestReadyRevisionName !== latestName) manager.markUnknown('Ready', '', '');
    return finish();
  };
}
