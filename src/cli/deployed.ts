/** What is deployed under a name: a Function with the Service it owns, or a Service of its own. */
import type { PetrelFunction } from '../kinds/function.ts';
import type { Service } from '../kinds/serving.ts';
import { type KubeClient, orUndefined } from '../kube/client.ts';
import { FUNCTIONS, KSERVICES } from '../kube/refs.ts';
import { serviceNamed } from './traffic/service.ts';

export type Deployed = PetrelFunction | Service;

export const isFunction = (object: Deployed): object is PetrelFunction => object.kind === 'Function';

/** The Function of that name, else the Service. Throws `NotFound` with what was meant. */
export async function deployedAs(client: KubeClient, namespace: string, name: string): Promise<Deployed> {
  const fn = await orUndefined(client.get<PetrelFunction>(FUNCTIONS, namespace, name));
  return fn ?? serviceNamed(client, namespace, name);
}

/** All Functions, and the Services that none of them owns, by namespace and name. */
export async function allDeployed(client: KubeClient, namespace: string | undefined): Promise<Deployed[]> {
  const [functions, services] = await Promise.all([
    client.list<PetrelFunction>(FUNCTIONS, { namespace }),
    client.list<Service>(KSERVICES, { namespace }),
  ]);
  const own = services.items.filter(
    ({ metadata }) =>
      !metadata.ownerReferences?.some(({ controller, kind }) => controller && kind === 'Function'),
  );
  const key = ({ metadata }: Deployed) => `${metadata.namespace}/${metadata.name}`;
  // Items of a list do not say their kind.
  const all: Deployed[] = [
    ...functions.items.map(
      (item): PetrelFunction => ({ ...item, apiVersion: 'petrel.dev/v1', kind: 'Function' }),
    ),
    ...own.map((item): Service => ({ ...item, apiVersion: 'serving.knative.dev/v1', kind: 'Service' })),
  ];
  return all.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** What runs it, in a word: the runtime, `program`, or the image. */
export function runsOn(object: Deployed): string {
  if (!isFunction(object)) return object.spec.template.spec.containers[0]?.image ?? '';
  return object.spec.image ?? (object.spec.shape === 'program' ? 'program' : object.spec.runtime);
}
