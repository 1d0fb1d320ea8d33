/** Revision → its scaler, and what the scaler knows back into the Revision's status. */
import { type ConditionManager, conditionOf, conditionSet } from '../kinds/conditions.ts';
import type { Revision } from '../kinds/serving.ts';
import { splitKey } from '../kube/indexed-store.ts';
import { REVISIONS } from '../kube/refs.ts';
import type { ServingContext } from './context.ts';
import type { PinnedImages } from './pinned-images.ts';
import { FAILED_CREATE, UNSCHEDULABLE } from './scaler/attempts.ts';
import type { RevisionScale } from './scaler/revision-scaler.ts';
import type { Scaler } from './scaler/scaler.ts';

const conditions = conditionSet('ContainerHealthy', 'ResourcesAvailable');
/** A quota or a policy refuses the Pod, or no node takes it: waiting alone will not help, so it is told as a failure, until it passes. */
const NEEDS_SOMEBODY = new Set([FAILED_CREATE, UNSCHEDULABLE]);
const QUEUED = 'Requests to the target are being buffered as resources are provisioned.';

export interface RevisionReconcilerOptions {
  context: ServingContext;
  scaler: Scaler;
  images: PinnedImages;
  reachable(key: string): boolean;
  /** Whether the revision appeared while we were watching, so that it cannot have instances yet. */
  isFresh(key: string): boolean;
}

export function createRevisionReconciler(options: RevisionReconcilerOptions) {
  const { context, scaler, images, reachable, isFresh } = options;
  return async (key: string): Promise<number | undefined> => {
    const { namespace, name } = splitKey(key);
    const revision = context.caches.revisions.get(namespace, name);
    if (!revision || revision.metadata.deletionTimestamp) {
      await scaler.remove(key);
      return undefined;
    }
    await scaler.upsert(revision, reachable(key), isFresh(key));
    const scale = scaler.scale(key);
    if (!scale) return undefined;
    const status = revisionStatus(revision, scale, images, context.clock.now());
    const isReady = status.conditions?.some(
      ({ type, status: value }) => type === 'Ready' && value === 'True',
    );
    if (isReady && conditionOf(revision, 'Ready')?.status !== 'True') {
      const message = 'Revision becomes ready upon all resources being ready';
      context.events.record(revision, 'Normal', 'RevisionReady', message);
    }
    return context.writeStatus(REVISIONS, revision, status);
  };
}

/** The status that follows from what the scaler knows. */
function revisionStatus(
  revision: Revision,
  scale: RevisionScale,
  images: PinnedImages,
  now: number,
): NonNullable<Revision['status']> {
  const manager = conditions.manage(revision.status?.conditions, now);
  manager.initialize();
  markReadiness(manager, revision, scale);
  if (scale.active === 'True') manager.markTrue('Active');
  else if (scale.active === 'Unknown') manager.markUnknown('Active', 'Queued', QUEUED);
  else if (scale.timedOut) manager.markFalse('Active', 'TimedOut', 'The target could not be activated.');
  else manager.markFalse('Active', 'NoTraffic', 'The target is not receiving traffic.');
  return {
    ...revision.status,
    observedGeneration: revision.metadata.generation,
    conditions: manager.conditions,
    containerStatuses: imagesOf(revision, revision.spec.containers, images),
    ...(revision.spec.initContainers?.length && {
      initContainerStatuses: imagesOf(revision, revision.spec.initContainers, images),
    }),
    actualReplicas: scale.ready,
    desiredReplicas: scale.desired,
  };
}

/** A digest that the user gives is the digest. */
function imagesOf(
  revision: Revision,
  containers: { name: string; image?: string }[],
  images: PinnedImages,
): { name: string; imageDigest?: string }[] {
  return containers.map(({ name, image = '' }) => {
    const imageDigest = image.includes('@sha256:') ? image : images.of(revision, name);
    return { name, ...(imageDigest === undefined ? {} : { imageDigest }) };
  });
}

function markReadiness(manager: ConditionManager, revision: Revision, scale: RevisionScale): void {
  const { failure } = scale;
  if (scale.initialized) {
    manager.markTrue('ContainerHealthy');
    manager.markTrue('ResourcesAvailable');
  } else if (failure && scale.permanent && !scale.timedOut) {
    manager.markFalse('ContainerHealthy', failure.reason, failure.message);
  } else if (failure && scale.permanent) {
    const message = `Initial scale was never achieved: ${failure.message}`;
    manager.markFalse('ResourcesAvailable', 'ProgressDeadlineExceeded', message);
  } else if (failure && NEEDS_SOMEBODY.has(failure.reason)) {
    manager.markFalse('ResourcesAvailable', failure.reason, failure.message);
  } else if (failure) {
    manager.markUnknown('ResourcesAvailable', failure.reason, failure.message);
  } else if (conditionOf(revision, 'Ready')?.status !== 'False') {
    manager.markUnknown('ContainerHealthy', 'Deploying', '');
    manager.markUnknown('ResourcesAvailable', 'Deploying', '');
  }
}
