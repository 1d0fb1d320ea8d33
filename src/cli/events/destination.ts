/** Where events go, as it is typed: a function, `broker/orders`, `https://example.com`. */
import { PetrelError } from '../../base/errors.ts';
import type { Json, KubeObject, UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, orUndefined, type ResourceRef } from '../../kube/client.ts';
import {
  apiVersionOf,
  BROKERS,
  CHANNELS,
  EVENT_SINKS,
  EVENT_TRANSFORMS,
  FUNCTIONS,
  JOB_SINKS,
  KSERVICES,
  SERVICES,
} from '../../kube/refs.ts';
import { readyCondition } from '../conditions.ts';

/** Makes a Broker where there is none. */
export async function ensureBroker(client: KubeClient, namespace: string, name: string): Promise<void> {
  if (await orUndefined(client.get(BROKERS, namespace, name))) return;
  try {
    await client.create<KubeObject>(BROKERS, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Broker',
      metadata: { name, namespace },
    });
  } catch (error) {
    // Somebody else made it meanwhile.
    if (!(error instanceof KubeError) || error.code !== 409) throw error;
  }
}

/** What may stand before a slash. */
const KINDS: Record<string, ResourceRef> = {
  function: FUNCTIONS,
  service: KSERVICES,
  ksvc: KSERVICES,
  broker: BROKERS,
  channel: CHANNELS,
  sink: EVENT_SINKS,
  job: JOB_SINKS,
  transform: EVENT_TRANSFORMS,
  svc: SERVICES,
};

const refTo = (resource: ResourceRef, namespace: string, name: string): Json => ({
  ref: { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name },
});

/** A Destination. A bare name is a function, or a service where there is no function; a broker is made where there is none. Throws `InvalidArgument` or `NotFound`. */
export async function destinationOf(client: KubeClient, namespace: string, text: string): Promise<Json> {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return { uri: text };
  const [, kind, name = ''] = /^(?:([a-z]+)\/)?([a-z0-9][a-z0-9.-]*)$/.exec(text) ?? [];
  const known = kind === undefined ? undefined : Object.hasOwn(KINDS, kind) ? KINDS[kind] : null;
  if (name === '' || known === null)
    throw new PetrelError('InvalidArgument', `"${text}" is nowhere that events can go`, {
      why: `it is no function, no http(s) address, and none of ${Object.keys(KINDS).join('/…, ')}/…`,
      fix: 'for example --to orders, --to broker/default, --to https://example.com/hook',
    });
  if (known === BROKERS) await ensureBroker(client, namespace, name);
  for (const resource of known === undefined ? [FUNCTIONS, KSERVICES] : [known])
    if (await orUndefined(client.get(resource, namespace, name))) return refTo(resource, namespace, name);
  throw new PetrelError(
    'NotFound',
    `there is no ${kind ?? 'function or service'} "${name}" in namespace ${namespace}`,
    {
      fix: 'petrel list -A shows what there is',
    },
  );
}

/** A Destination as people read it. */
export function showDestination({
  ref,
  uri,
}: {
  ref?: { kind?: string; name?: string };
  uri?: string;
} = {}): string {
  if (!ref) return uri ?? '';
  const word =
    Object.entries(KINDS).find(([, resource]) => resource.kind === ref.kind)?.[0] ?? ref.kind ?? '';
  return `${word}/${ref.name}${uri ? ` ${uri}` : ''}`;
}

/** The message of a condition that keeps an object from being ready. */
export function trouble(object: UntypedObject): string {
  const ready = readyCondition(object);
  return ready?.status === 'True' ? '' : [ready?.reason, ready?.message].filter(Boolean).join(': ');
}
