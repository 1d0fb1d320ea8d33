/** Which revisions nobody needs any more. Rules of upstream's `reconciler/gc`. */
import type { GcConfig } from '../kinds/config/index.ts';
import type { Configuration, Revision } from '../kinds/serving.ts';
import { KubeError } from '../kube/client.ts';
import { keyOf, splitKey } from '../kube/indexed-store.ts';
import { REVISIONS } from '../kube/refs.ts';
import type { LiveConfig } from './config.ts';
import type { ServingContext } from './context.ts';
import { LABELS } from './names.ts';
import { GC } from './settings.ts';

export interface GcVerdict {
  /** To be deleted now. */
  doomed: Revision[];
  /** Milliseconds after which another one may be; undefined when only a change can bring that about. */
  againMs: number | undefined;
}

const lastActive = ({ metadata }: Revision): number =>
  Date.parse(metadata.annotations?.[LABELS.routingStateModified] ?? '') ||
  Date.parse(metadata.creationTimestamp ?? '') ||
  0;

/** Only what the labeler has marked as out of use, and never the newest that is known to work. */
function isCandidate(revision: Revision, configuration: Configuration): boolean {
  const { name, labels, annotations, deletionTimestamp } = revision.metadata;
  return (
    name !== configuration.status?.latestReadyRevisionName &&
    annotations?.[LABELS.noGc]?.toLowerCase() !== 'true' &&
    labels?.[LABELS.routingState] === 'reserve' &&
    !deletionTimestamp
  );
}

/** The rules for one Configuration: a number of its own replaces all of `config-gc`. */
function rulesOf({ metadata }: Configuration, config: GcConfig): GcConfig {
  const own = metadata.annotations?.[LABELS.retainRevisions];
  if (own === undefined || !/^\d{1,6}$/.test(own)) return config;
  return {
    retainSinceCreateTimeMs: undefined,
    retainSinceLastActiveTimeMs: undefined,
    minNonActiveRevisions: Number(own),
    maxNonActiveRevisions: Number(own),
  };
}

/** `revisions`: all of the Configuration. `now`: milliseconds since the epoch. */
export function collectable(
  configuration: Configuration,
  revisions: readonly Revision[],
  config: GcConfig,
  now: number,
): GcVerdict {
  const { minNonActiveRevisions: min, maxNonActiveRevisions: max } = config;
  const { retainSinceCreateTimeMs: sinceCreate, retainSinceLastActiveTimeMs: sinceActive } = config;
  const nothing: GcVerdict = { doomed: [], againMs: undefined };
  if (revisions.length <= min) return nothing;
  const candidates = revisions
    .filter((revision) => isCandidate(revision, configuration))
    .sort((a, b) => lastActive(a) - lastActive(b));
  if (candidates.length <= min) return nothing;

  /** When the revision is stale; undefined is never. */
  const staleAt = (revision: Revision): number | undefined => {
    if (sinceCreate === undefined && sinceActive === undefined) return undefined;
    const created = Date.parse(revision.metadata.creationTimestamp ?? '') || 0;
    return Math.max(
      sinceCreate === undefined ? 0 : created + sinceCreate,
      sinceActive === undefined ? 0 : lastActive(revision) + sinceActive,
    );
  };
  const doomed = candidates
    .filter((revision) => (staleAt(revision) ?? Number.POSITIVE_INFINITY) <= now)
    .slice(0, candidates.length - min);
  const left = candidates.filter((revision) => !doomed.includes(revision));
  if (max !== undefined && left.length > max) doomed.push(...left.splice(0, left.length - max));
  if (left.length <= min) return { doomed, againMs: undefined };
  const next = Math.min(...left.map((revision) => staleAt(revision) ?? Number.POSITIVE_INFINITY));
  return { doomed, againMs: Number.isFinite(next) ? Math.max(0, next - now) : undefined };
}

/** Timers hold no longer than this, milliseconds; who wakes early looks again. */
const MAX_WAIT_MS = 24 * 3_600_000;

/** Deletes what `collectable` names. `reachable`: whether requests may still be led there, whatever the marks say. */
export function createCollector(
  { client, caches, clock, log }: ServingContext,
  config: LiveConfig,
  reachable: (key: string) => boolean,
) {
  return async (key: string): Promise<number | undefined> => {
    const { namespace, name } = splitKey(key);
    const configuration = caches.configurations.get(namespace, name);
    if (!configuration || configuration.metadata.deletionTimestamp) return undefined;
    const revisions = caches.revisions.byIndex('configuration', key);
    const { doomed, againMs } = collectable(
      configuration,
      revisions,
      rulesOf(configuration, config.read(GC)),
      clock.now(),
    );
    for (const revision of doomed.filter((one) => !reachable(keyOf(one)))) {
      log.info('a revision that nobody uses is deleted', { revision: keyOf(revision) });
      try {
        await client.delete(REVISIONS, namespace, revision.metadata.name);
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      }
    }
    return againMs === undefined ? undefined : Math.min(againMs, MAX_WAIT_MS);
  };
}
