/** All revisions' scalers: who makes their instances, and which of them an event is about. */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Gateway, GatewayEvents, RevisionEntry, RevisionKey } from '../../gateway/contract.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import { ONCE_ONLY_ANNOTATION } from '../../kinds/function.ts';
import type { Revision } from '../../kinds/serving.ts';
import { keyOf, objectKey } from '../../kube/indexed-store.ts';
import type { AutoscalerConfig } from '../autoscaler/config.ts';
import type { MetricSource } from '../autoscaler/metrics.ts';
import { type Instance, InstanceError, type InstanceSource } from '../contract.ts';
import { LABELS } from '../names.ts';
import { createRevisionScaler, type RevisionScale, type RevisionScaler } from './revision-scaler.ts';
import { createServiceBounds } from './services.ts';
import type { Terms } from './terms.ts';

export interface ScalerOptions {
  gateway: Gateway;
  /** The first that handles a revision makes its instances. */
  sources: InstanceSource[];
  clock: Clock;
  random: () => number;
  log: Logger;
  config: AutoscalerConfig;
  /** Where metrics come from that the gateway does not count. */
  metrics?: readonly MetricSource[];
  /** Largest request body that is forwarded, bytes; 0 is unlimited. */
  maxRequestBytes: number;
  /** Requests of one revision that may wait for an instance. */
  queueDepth: number;
  /** A Revision's status may have changed; `urgent` when others wait for it. */
  onChange(key: string, urgent: boolean): void;
  /** An instance that served has crashed or is gone, though nobody let it go. */
  onLoss(revision: Revision, reason: string): void;
  /** Annotations of a revision, or of the Service of that key, cannot be understood and count as absent. */
  onProblem(revision: Revision, problem: string): void;
  onServiceProblem(key: string, problem: string): void;
}

export interface Scaler extends GatewayEvents {
  /** Takes a revision up, or tells what has changed about it. `fresh`: it cannot have instances yet. */
  upsert(revision: Revision, reachable: boolean, fresh: boolean): Promise<void>;
  remove(key: string): Promise<void>;
  scale(key: string): RevisionScale | undefined;
  /** The defaults of scaling have changed (`config-autoscaler`). */
  configure(config: AutoscalerConfig): void;
  /** Annotations of a Service's own metadata, which hold for all its revisions at once; null when it is gone. */
  setService(key: string, annotations: Record<string, string> | null): void;
  /** Percentages that the Service's Route gives its revisions now; null when there is none. */
  setTraffic(key: string, percents: ReadonlyMap<RevisionKey, number> | null): void;
  stop(): void;
}

interface Entry {
  uid: string | undefined;
  revision: Revision;
  source: InstanceSource;
  /** `<namespace>/<name>` of its Service. */
  service: string | undefined;
  surge: number | undefined;
  scaler: RevisionScaler;
}

export function createScaler(options: ScalerOptions): Scaler {
  const { gateway, sources } = options;
  let config = options.config;
  const entries = new Map<string, Entry>();
  /** `<namespace>/<name>` of a Service → keys of its revisions. */
  const byService = new Map<string, Set<string>>();
  const bounds = createServiceBounds({
    clock: options.clock,
    onProblem: options.onServiceProblem,
    onChange(service) {
      for (const key of byService.get(service) ?? []) reshape(key);
    },
  });

  const termsOf = (key: string, service: string | undefined): Terms => ({
    config,
    ...(service === undefined
      ? { overrides: {}, min: undefined, max: undefined }
      : bounds.terms(service, key)),
  });

  const reshape = (key: string) => {
    const entry = entries.get(key);
    entry?.scaler.reshape(termsOf(key, entry.service));
  };

  const tell = (key: string) => {
    const entry = entries.get(key);
    if (!entry) return;
    const told = revisionEntry(key, entry.revision, options);
    gateway.setRevision(key, entry.surge === undefined ? told : { ...told, surge: entry.surge });
  };

  /** An instance that a sibling has no use for any more, converted; undefined when there is none. */
  const borrow = (key: string, signal: AbortSignal): Promise<Instance> | undefined => {
    const entry = entries.get(key);
    const service = entry?.service;
    if (!entry || service === undefined || !entry.source.convert) return undefined;
    const { source, revision } = entry;
    for (const sibling of byService.get(service) ?? []) {
      const other = entries.get(sibling);
      if (!other || other === entry || other.source !== source || other.scaler.spare <= 0) continue;
      if (!source.convertible?.(other.revision, revision)) continue;
      return convert(other, source, revision, signal);
    }
    return undefined;
  };

  const convert = async (from: Entry, source: InstanceSource, to: Revision, signal: AbortSignal) => {
    const id = await from.scaler.give();
    if (id === undefined) return source.acquire(to, signal);
    try {
      return await source.convert!(from.revision, id, to, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      options.log.debug('an instance was not converted; another is started', {
        instance: id,
        error: messageOf(error),
      });
      return source.acquire(to, signal);
    }
  };

  const forget = (key: string, { service }: Entry) => {
    entries.delete(key);
    if (service === undefined) return;
    const keys = byService.get(service);
    keys?.delete(key);
    if (keys?.size === 0) byService.delete(service);
  };

  for (const source of sources) {
    source.onEvent({
      down(revision, id, reason, kind) {
        const scaler = find(revision);
        if (scaler === undefined) return;
        scaler.instanceDown(id, reason, kind);
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
    forget(key, entry);
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
        known.revision = revision;
        known.scaler.update(revision, reachable);
        return;
      }
      if (known) await remove(key);
      const name = revision.metadata.labels?.[LABELS.service];
      const service = name ? objectKey(revision.metadata.namespace, name) : undefined;
      const source = sources.find((source) => source.handles(revision)) ?? NO_SOURCE;
      const scaler = createRevisionScaler({
        ...options,
        key,
        revision,
        reachable,
        source,
        terms: termsOf(key, service),
        metrics: options.metrics ?? [],
        proven: provenState(revision),
        onChange: (urgent) => options.onChange(key, urgent),
        onSurge(surge) {
          const entry = entries.get(key);
          if (!entry || entry.scaler !== scaler) return;
          entry.surge = surge;
          tell(key);
        },
        borrow: (signal) => borrow(key, signal),
      });
      entries.set(key, { uid: revision.metadata.uid, revision, source, service, surge: undefined, scaler });
      if (service !== undefined) byService.set(service, (byService.get(service) ?? new Set()).add(key));
      tell(key);
      if (!fresh) await scaler.adopt();
      scaler.begin();
    },
    remove,
    scale: (key) => entries.get(key)?.scaler.scale(),
    configure(next) {
      config = next;
      for (const key of entries.keys()) reshape(key);
    },
    setService: bounds.setService,
    setTraffic: bounds.setTraffic,
    stop() {
      bounds.stop();
      for (const { scaler } of entries.values()) scaler.stop();
      entries.clear();
      byService.clear();
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
  { metadata, spec }: Revision,
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
    ...(metadata.annotations?.[ONCE_ONLY_ANNOTATION] === 'true' && {
      onceOnly: true,
      containerConcurrency: 1,
    }),
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
