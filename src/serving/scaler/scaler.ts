/** All revisions' scalers: who makes their instances, and which of them an event is about. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Gateway, GatewayEvents, RevisionEntry } from '../../gateway/contract.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { Revision } from '../../kinds/serving.ts';
import { keyOf } from '../../kube/indexed-store.ts';
import type { AutoscalerConfig } from '../autoscaler/config.ts';
import { InstanceError, type InstanceSource } from '../contract.ts';
import { createRevisionScaler, type RevisionScale, type RevisionScaler } from './revision-scaler.ts';

export interface ScalerOptions {
  gateway: Gateway;
  /** The first that handles a revision makes its instances. */
  sources: InstanceSource[];
  clock: Clock;
  random: () => number;
  log: Logger;
  config: AutoscalerConfig;
  /** Largest request body that is forwarded, bytes; 0 is unlimited. */
  maxRequestBytes: number;
  /** Requests of one revision that may wait for an instance. */
  queueDepth: number;
  /** A Revision's status may have changed; `urgent` when others wait for it. */
  onChange(key: string, urgent: boolean): void;
  /** An instance that served has crashed or is gone, though nobody let it go. */
  onLoss(revision: Revision, reason: string): void;
}

export interface Scaler extends GatewayEvents {
  /** Takes a revision up, or tells what has changed about it. `fresh`: it cannot have instances yet. */
  upsert(revision: Revision, reachable: boolean, fresh: boolean): Promise<void>;
  remove(key: string): Promise<void>;
  scale(key: string): RevisionScale | undefined;
  stop(): void;
}

interface Entry {
  uid: string | undefined;
  scaler: RevisionScaler;
}

export function createScaler(options: ScalerOptions): Scaler {
  const { gateway, sources } = options;
  const entries = new Map<string, Entry>();

  for (const source of sources) {
    source.onEvent({
      down(revision, id, reason) {
        const scaler = find(revision);
        if (scaler === undefined) return;
        scaler.instanceDown(id, reason);
        options.onLoss(revision, reason);
      },
      up: (revision, instance) => find(revision)?.instanceUp(instance),
    });
  }

  const find = (revision: Revision): RevisionScaler | undefined => {
    const entry = entries.get(keyOf(revision));
    return entry && entry.uid === revision.metadata.uid ? entry.scaler : undefined;
  };

  const remove = async (key: string) => {
    const entry = entries.get(key);
    if (!entry) return;
    entries.delete(key);
    const message = 'the revision was deleted';
    gateway.failRevision(key, { status: 503, component: 'scaler', reason: 'RevisionDeleted', message });
    await entry.scaler.dissolve();
    if (!entries.has(key)) gateway.setRevision(key, null);
  };

  return {
    async upsert(revision, reachable, fresh) {
      const key = keyOf(revision);
      const known = entries.get(key);
      if (known && known.uid === revision.metadata.uid) {
        known.scaler.update(revision, reachable);
        return;
      }
      if (known) await remove(key);
      gateway.setRevision(key, revisionEntry(key, revision, options));
      const scaler = createRevisionScaler({
        ...options,
        key,
        revision,
        reachable,
        source: sources.find((source) => source.handles(revision)) ?? NO_SOURCE,
        proven: provenState(revision),
        onChange: (urgent) => options.onChange(key, urgent),
      });
      entries.set(key, { uid: revision.metadata.uid, scaler });
      if (!fresh) await scaler.adopt();
      scaler.begin();
    },
    remove,
    scale: (key) => entries.get(key)?.scaler.scale(),
    stop() {
      for (const { scaler } of entries.values()) scaler.stop();
      entries.clear();
    },
    demand: (key, queued, inFlight) => entries.get(key)?.scaler.demand(queued, inFlight),
    stats(stats, intervalMs) {
      for (const one of stats) entries.get(one.key)?.scaler.stats(one, intervalMs);
    },
    endpointDown: (key, id, reason) => entries.get(key)?.scaler.endpointDown(id, reason),
  };
}

function provenState(revision: Revision): 'ready' | 'failed' | 'unknown' {
  const status = conditionOf(revision, 'Ready')?.status;
  return status === 'True' ? 'ready' : status === 'False' ? 'failed' : 'unknown';
}

function revisionEntry(
  key: string,
  { spec }: Revision,
  { maxRequestBytes, queueDepth }: Pick<ScalerOptions, 'maxRequestBytes' | 'queueDepth'>,
): RevisionEntry {
  const milliseconds = (seconds: number | undefined) => (seconds ? seconds * 1000 : undefined);
  return {
    key,
    containerConcurrency: spec.containerConcurrency ?? 0,
    timeoutMs: (spec.timeoutSeconds || 300) * 1000,
    responseStartTimeoutMs: milliseconds(spec.responseStartTimeoutSeconds),
    idleTimeoutMs: milliseconds(spec.idleTimeoutSeconds),
    maxRequestBytes,
    queueDepth,
  };
}

/** Stands in where nobody can make instances of a revision. */
const NO_SOURCE: InstanceSource = {
  handles: () => true,
  acquire: async () => {
    const message = 'nothing on this platform can start the image of this revision';
    throw new InstanceError({ status: 503, component: 'scaler', reason: 'NoInstanceSource', message });
  },
  release: async () => {},
  adopt: async () => [],
  onEvent: () => {},
};
