/** A Service's traffic, for people and for scripts. */
import type { Revision, Service } from '../../kinds/serving.ts';
import { stateOf } from '../../serving/canary/plan.ts';
import { readyCondition } from '../conditions.ts';
import type { Output } from '../output.ts';
import { currentTraffic, followsLatest, revisionOf } from './edit.ts';
import { factsOf } from './service.ts';

export interface TrafficView {
  name: string;
  namespace: string;
  url: string | null;
  /** Whether a new revision takes traffic as soon as it is ready. */
  followsLatest: boolean;
  /** Whether a canary hands out the traffic. */
  canary: boolean;
  traffic: {
    revision: string | null;
    percent: number;
    tag: string | null;
    /** The target is whatever is the latest, not this revision by name. */
    latest: boolean;
    ready: string;
    url: string | null;
  }[];
}

/** Who gets what, as the command prints it. `revisions` are those of the Service. */
export function trafficView(service: Service, revisions: readonly Revision[]): TrafficView {
  const facts = factsOf(service, revisions);
  return {
    name: facts.service,
    namespace: service.metadata.namespace ?? 'default',
    url: service.status?.url ?? null,
    followsLatest: followsLatest(facts),
    canary: stateOf(service) !== undefined,
    traffic: currentTraffic(facts).map((target) => {
      const name = revisionOf(target, facts);
      const revision = revisions.find(({ metadata }) => metadata.name === name);
      const tagged = service.status?.traffic?.find(({ tag }) => tag !== undefined && tag === target.tag);
      return {
        revision: name ?? null,
        percent: target.percent ?? 0,
        tag: target.tag ?? null,
        latest: !target.revisionName,
        ready: (revision && readyCondition(revision)?.status) ?? 'Unknown',
        url: tagged?.url ?? null,
      };
    }),
  };
}

/** One row per target; where a tag has an address of its own, with it. */
export function printTraffic(out: Output, view: TrafficView): void {
  out.table(
    ['REVISION', 'PERCENT', 'TAG', 'READY', 'URL'],
    view.traffic.map(({ revision, percent, tag, latest, ready, url }) => [
      `${revision ?? '-'}${latest ? ' (latest)' : ''}`,
      `${percent} %`,
      tag ?? '',
      ready,
      url ?? (percent > 0 ? (view.url ?? '') : ''),
    ]),
  );
}

/** Says how a new revision will get traffic, where it does not by itself. */
export function notePinned(out: Output, { name, followsLatest: follows, canary }: TrafficView): void {
  if (canary)
    out.note(`a new revision gets its traffic step by step; petrel canary ${name} shows how it goes`);
  else if (!follows)
    out.note(`a new revision takes no traffic by itself; petrel traffic ${name} --to latest changes that`);
}
