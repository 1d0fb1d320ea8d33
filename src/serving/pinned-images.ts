/**
 * What the tags of a revision's images stand for: settled by the first instance that brought them, and from then on the same for all of the
 * revision. Upstream asks the registry when a revision is made (`pkg/reconciler/revision/resolve.go`); here nobody waits for that, and an
 * image that was never pushed anywhere has a digest too.
 */
import type { Pod } from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';

export interface PinnedImages {
  /** Takes in what a Pod's status says. */
  saw(pod: Pod): void;
  /** Name and digest of the image of a container; undefined while nobody knows. */
  of(revision: Revision, container: string): string | undefined;
}

/** `onNews` is called with namespace and name of a revision when something new is known of it. */
export function createPinnedImages(
  labels: { revision: string; revisionUID: string },
  onNews: (key: string) => void,
): PinnedImages {
  const known = new Map<string, Map<string, string>>();
  return {
    saw({ metadata, status }) {
      for (const { name, imageID } of status?.containerStatuses ?? []) {
        if (!imageID) continue;
        const uid = metadata.labels?.[labels.revisionUID] ?? '';
        const images = known.get(uid) ?? new Map<string, string>();
        if (images.has(name)) continue;
        known.set(uid, images.set(name, imageID));
        onNews(`${metadata.namespace}/${metadata.labels?.[labels.revision]}`);
      }
    },
    of: (revision, container) =>
      revision.status?.containerStatuses?.find(({ name }) => name === container)?.imageDigest ??
      known.get(revision.metadata.uid ?? '')?.get(container),
  };
}
