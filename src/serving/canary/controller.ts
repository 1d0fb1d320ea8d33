/** Canaries as a controller: reads policies, Services and what the gateway counts, writes traffic, status and Events. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { RevisionKey, RevisionStats } from '../../gateway/contract.ts';
import type { Json, KubeObject } from '../../kinds/object.ts';
import type { Revision, Service } from '../../kinds/serving.ts';
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import type { EventRecorder } from '../../kube/events.ts';
import { keyOf, objectKey, splitKey } from '../../kube/indexed-store.ts';
import type { Informer } from '../../kube/informer.ts';
import { KSERVICES, TRAFFIC_POLICIES } from '../../kube/refs.ts';
import { LABELS } from '../names.ts';
import { addOutcomes, emptyTally, type Tally } from './decide.ts';
import { CANARY_ANNOTATION, type CanaryState, type Plan, plan, stateOf } from './plan.ts';
import { policyFor } from './policy.ts';

export interface CanaryOptions {
  client: KubeClient;
  services: Informer<Service>;
  /** Index `configuration`: `<namespace>/<configuration name>`. */
  revisions: Informer<Revision>;
  /** Index `route`: `<namespace>/<name>` of what a policy is about. */
  policies: Informer<TrafficPolicy>;
  events: EventRecorder;
  clock: Clock;
  random: () => number;
  log: Logger;
}

export interface Canary {
  /** Takes in what the gateway counted; costs nothing while no canary is under way. */
  stats(stats: readonly RevisionStats[]): void;
  /** Begins to work; the informers have synced. */
  start(): void;
  stop(): Promise<void>;
}

/** The canary under way of a Service, and what its requests came to since its step began. */
interface Watched {
  service: string;
  since: string | undefined;
  tally: Tally;
}

export function createCanary(options: CanaryOptions): Canary {
  const { client, services, revisions, policies, events, clock } = options;
  const watched = new Map<RevisionKey, Watched>();

  /** The tally of the canary under way, begun anew with every step; a restart of the platform begins it anew, too. */
  const tallyOf = (key: string, state: CanaryState | undefined): Tally => {
    const { namespace } = splitKey(key);
    const revision = state?.phase === 'Progressing' ? objectKey(namespace, state.revisionName) : undefined;
    for (const [other, { service }] of watched)
      if (service === key && other !== revision) watched.delete(other);
    if (revision === undefined) return emptyTally();
    const known = watched.get(revision);
    if (known && known.since === state?.stepStartedAt) return known.tally;
    const begun: Watched = { service: key, since: state?.stepStartedAt, tally: emptyTally() };
    watched.set(revision, begun);
    return begun.tally;
  };

  const write = async (service: Service, { traffic, state }: Plan): Promise<Service> => {
    const annotations = { ...service.metadata.annotations };
    if (state) annotations[CANARY_ANNOTATION] = JSON.stringify(state);
    else delete annotations[CANARY_ANNOTATION];
    const wanted = traffic ?? service.spec.traffic;
    if (
      annotations[CANARY_ANNOTATION] === service.metadata.annotations?.[CANARY_ANNOTATION] &&
      isDeepStrictEqual(wanted, service.spec.traffic)
    )
      return service;
    return client.update<Service>(KSERVICES, {
      ...service,
      metadata: { ...service.metadata, annotations },
      spec: { ...service.spec, ...(wanted && { traffic: wanted }) },
    });
  };

  const report = async (policy: TrafficPolicy | undefined, state: CanaryState | undefined) => {
    if (!policy) return;
    const waiting = { phase: 'Idle', message: 'There is no revision that is ready yet.' };
    const canary = policy.spec.canary ? ((state as Json | undefined) ?? waiting) : null;
    const before = (policy.status?.canary as Json | undefined) ?? null;
    if (isDeepStrictEqual(before, canary)) return;
    // Fields that are gone have to be named in a merge patch.
    const gone = Object.fromEntries(Object.keys(before ?? {}).map((key) => [key, null]));
    const patch = { status: { canary: canary === null ? null : { ...gone, ...(canary as object) } } };
    const { namespace, name } = policy.metadata;
    await client.patch(TRAFFIC_POLICIES, namespace, name, 'merge', patch as Json, { subresource: 'status' });
  };

  const controller = createController({
    name: 'canaries',
    log: options.log,
    clock,
    random: options.random,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const service = services.get(namespace, name);
      const policy = policyFor(policies.byIndex('route', key), namespace, name);
      if (!service || service.metadata.deletionTimestamp) {
        tallyOf(key, undefined);
        return undefined;
      }
      const before = stateOf(service);
      if (!before && !policy?.spec.canary) {
        await report(policy, undefined);
        return undefined;
      }
      const next = plan({
        service,
        revisions: revisions
          .byIndex('configuration', key)
          .filter(({ metadata }) => metadata.labels?.[LABELS.service] === name),
        policy: policy?.spec.canary,
        tally: tallyOf(key, before),
        now: clock.now(),
      });
      await write(service, next);
      tallyOf(key, next.state);
      if (next.event) events.record(service, next.event.type, next.event.reason, next.event.message);
      await report(policy, next.state);
      return next.againMs;
    },
  });

  const onService = (service: KubeObject) => controller.enqueue(keyOf(service));
  const onPolicy = ({ metadata, spec }: TrafficPolicy) =>
    controller.enqueue(objectKey(metadata.namespace, spec.targetRef.name));
  const onRevision = ({ metadata }: Revision) => {
    const service = metadata.labels?.[LABELS.service];
    const key = objectKey(metadata.namespace, service ?? '');
    if (service && policies.byIndex('route', key).length > 0) controller.enqueue(key);
  };
  services.addHandler({ add: onService, update: onService, delete: onService });
  policies.addHandler({
    add: onPolicy,
    update(policy, old) {
      onPolicy(policy);
      if (old.spec.targetRef.name !== policy.spec.targetRef.name) onPolicy(old);
    },
    delete: onPolicy,
  });
  revisions.addHandler({ add: onRevision, update: onRevision, delete: onRevision });

  return {
    stats(stats) {
      if (watched.size === 0) return;
      for (const { key, outcomes } of stats) {
        const canary = outcomes && watched.get(key);
        if (!canary) continue;
        addOutcomes(canary.tally, outcomes);
        controller.enqueue(canary.service);
      }
    },
    start: () => controller.start(),
    stop: () => controller.stop(),
  };
}
