/** The Knative Service behind a name, as the commands about traffic read and change it. */
import { PetrelError } from '../../base/errors.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Revision, Service, TrafficTarget } from '../../kinds/serving.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { KSERVICES, REVISIONS } from '../../kube/refs.ts';
import { generationOf, LABELS } from '../../serving/names.ts';
import { untilWritten } from '../conflict.ts';
import { until } from '../deploy/wait.ts';
import { closest } from '../suggest.ts';
import type { TrafficFacts } from './edit.ts';

/** How long a change of traffic may take to be in force, milliseconds. */
const LIMIT_MS = 30_000;

/** The Service with this name: made by `petrel deploy`, `kn`, or from YAML. Throws `NotFound` with what was meant. */
export async function serviceNamed(client: KubeClient, namespace: string, name: string): Promise<Service> {
  const found = await orUndefined(client.get<Service>(KSERVICES, namespace, name));
  if (found) return found;
  const { items } = await client.list<Service>(KSERVICES, { namespace });
  const near = closest(
    name,
    items.map(({ metadata }) => metadata.name),
  );
  throw new PetrelError('NotFound', `there is no service or function "${name}" in namespace ${namespace}`, {
    why: items.length > 0 ? '' : 'nothing is deployed there',
    fix: near ? `did you mean ${near}?` : 'petrel list -A shows what there is',
  });
}

/** The revisions of a Service, or of a Function's, newest first. */
export async function revisionsOf(
  client: KubeClient,
  { metadata: { namespace, name } }: KubeObject,
): Promise<Revision[]> {
  const labelSelector = `${LABELS.service}=${name}`;
  const { items } = await client.list<Revision>(REVISIONS, { namespace, labelSelector });
  return items.sort((a, b) => generationOf(b) - generationOf(a));
}

/** What decides how the traffic of a Service can be changed. */
export function factsOf(service: Service, revisions: readonly Revision[]): TrafficFacts {
  return {
    service: service.metadata.name,
    revisions,
    latestReady: service.status?.latestReadyRevisionName,
    traffic: service.spec.traffic ?? [],
  };
}

/** Reads, changes and writes a Service until nobody was faster. `change` returns undefined when nothing is to be done. */
export async function changeService(
  client: KubeClient,
  namespace: string,
  name: string,
  change: (service: Service) => Promise<Service | undefined> | Service | undefined,
): Promise<Service> {
  return untilWritten(async () => {
    const service = await serviceNamed(client, namespace, name);
    const changed = await change(service);
    return changed ? client.update(KSERVICES, changed) : service;
  });
}

/** Gives the Service this traffic and resolves when it is in force. */
export async function changeTraffic(
  client: KubeClient,
  namespace: string,
  name: string,
  edit: (facts: TrafficFacts) => TrafficTarget[],
): Promise<Service> {
  const written = await changeService(client, namespace, name, async (service) => {
    const facts = factsOf(service, await revisionsOf(client, service));
    const traffic = edit(facts);
    if (JSON.stringify(traffic) === JSON.stringify(facts.traffic)) return undefined;
    return { ...service, spec: { ...service.spec, traffic } };
  });
  return trafficInForce(client, written);
}

/** Resolves when requests go where `spec.traffic` says. Throws `NotReady` with the Route's own words when they will not. */
function trafficInForce(client: KubeClient, service: Service): Promise<Service> {
  const { name } = service.metadata;
  return until(client, {
    resource: KSERVICES,
    object: service,
    limitMs: LIMIT_MS,
    done({ metadata, status }) {
      if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
      const routes = status?.conditions?.find(({ type }) => type === 'RoutesReady');
      if (routes?.status !== 'False') return routes?.status === 'True';
      throw new PetrelError('NotReady', `the traffic of ${name} was not changed: ${routes.message}`, {
        why: routes.reason ?? '',
        fix: `petrel revisions ${name}; the traffic before goes on`,
      });
    },
  });
}
