/** In-place update of a Pod: whether an instance of one revision can become one of another, and what has to be written for it. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { conditionOf } from '../kinds/conditions.ts';
import { REPLACEABLE } from '../kinds/in-place.ts';
import type { Json } from '../kinds/object.ts';
import {
  type Container,
  IN_PLACE_CONDITION,
  type InPlaceUpdate,
  NODE_ANNOTATIONS,
  type Pod,
} from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';
import { PORT_ANNOTATION, podFor } from './pod-template.ts';

/** What a container may have differently: its node replaces it, the image by Kubernetes' own rule, the rest by annotation. */
function withoutReplaceable(container: Container): Partial<Container> {
  const rest: Partial<Container> = { ...container };
  delete rest.image;
  // Names of ports say how the instance is spoken to, which its endpoint remembers.
  for (const field of REPLACEABLE) if (field !== 'ports') delete rest[field];
  return rest;
}

const shapeOf = (revision: Revision): unknown => {
  const { spec } = podFor(revision, 'any', 1);
  return { ...spec, containers: spec.containers.map(withoutReplaceable) };
};

/** Whether nothing differs between the Pods of the two that would need another Pod. */
export const convertible = (from: Revision, to: Revision): boolean =>
  isDeepStrictEqual(shapeOf(from), shapeOf(to));

/** What is not wanted any more, as a merge patch removes it. */
const replaced = (old: Record<string, string> = {}, wanted: Record<string, string> = {}): Json => ({
  ...Object.fromEntries(Object.keys(old).map((key) => [key, null])),
  ...wanted,
});

/** The name by which the update to `to` is known, see `InPlaceUpdate`. */
const updateId = (to: Revision): string => to.metadata.uid ?? to.metadata.name;

/** A merge patch that makes of `pod`, an instance of `from` on port `was`, one of `to` on `port`. */
export function conversionPatch(pod: Pod, from: Revision, to: Revision, was: number, port: number): Json {
  const { name } = pod.metadata;
  const [before, after] = [podFor(from, name, was), podFor(to, name, port, true)];
  const containers: InPlaceUpdate['containers'] = {};
  for (const container of after.spec.containers) {
    containers[container.name] = Object.fromEntries(
      REPLACEABLE.map((field) => [field, container[field] ?? null]),
    ) as InPlaceUpdate['containers'][string];
  }
  // On another port the new program can start before the old one has ended.
  const update: InPlaceUpdate = { id: updateId(to), containers, ...(port === was ? {} : { overlap: true }) };
  const images = new Map(after.spec.containers.map((container) => [container.name, container.image]));
  return {
    metadata: {
      uid: pod.metadata.uid ?? '',
      labels: replaced(before.metadata.labels, after.metadata.labels),
      annotations: replaced(before.metadata.annotations, {
        ...after.metadata.annotations,
        [PORT_ANNOTATION]: String(port),
        [NODE_ANNOTATIONS.inPlace]: JSON.stringify(update),
      }),
      ownerReferences: (after.metadata.ownerReferences ?? []) as unknown as Json,
    },
    spec: {
      containers: pod.spec.containers.map((container) => ({
        ...container,
        image: images.get(container.name) ?? container.image,
      })) as unknown as Json,
    },
  };
}

/** How often each container had been restarted, by name. */
export type Restarts = ReadonlyMap<string, number>;

export const restartsOf = (pod: Pod): Restarts =>
  new Map((pod.status?.containerStatuses ?? []).map(({ name, restartCount }) => [name, restartCount]));

/** Whether the Pod's status speaks of the update, and no longer of what ran before. */
export const hasBegun = (pod: Pod, to: Revision): boolean =>
  conditionOf(pod, IN_PLACE_CONDITION)?.message === updateId(to);

/** Whether all containers run as the update asks. */
export const isUpdated = (pod: Pod, to: Revision): boolean =>
  hasBegun(pod, to) && conditionOf(pod, IN_PLACE_CONDITION)?.status === 'True';

/** The Pod with nothing in its status about runs from before the update: their end is no failure of the new revision. */
export function sinceUpdate(pod: Pod, before: Restarts): Pod {
  const containerStatuses = (pod.status?.containerStatuses ?? []).map((status) => {
    const runs = status.restartCount - (before.get(status.name) ?? 0);
    const { terminated: _ended, ...state } = status.state;
    // A run is counted when it begins: one that waits after the first run of the update has ended that run.
    const hasEnded = runs > 1 || (runs === 1 && status.state.waiting !== undefined);
    return {
      ...status,
      state: runs > 0 ? status.state : state,
      lastState: hasEnded ? status.lastState : {},
    };
  });
  return { ...pod, status: { ...pod.status, containerStatuses } };
}
