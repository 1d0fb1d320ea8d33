/**
 * Destinations as addresses: any Addressable, Knative's Services and Routes, Functions, Kubernetes Services with the Pods behind them, URIs.
 * What does not resolve says why in upstream's words. Source: knative.dev/pkg `resolver/addressable_resolver.go`.
 */
import { messageOf } from '../../base/errors.ts';
import { EVENTING_NAMESPACE } from '../../kinds/config/eventing.ts';
import type { Addressable, Destination, KReference } from '../../kinds/eventing/objects.ts';
import { compileTemplate } from '../../kinds/go-template.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { KSERVICES, PODS, ROUTES, SERVICES } from '../../kube/refs.ts';
import type { Target } from '../model.ts';
import { NoSuchKind, type Reader } from './objects.ts';
import { notFound, resourceOf } from './resources.ts';

/** What a destination is: an address for status and a target for the engine, or why it is neither. */
export type Resolution =
  | { ok: true; address: Addressable & { url: string }; target: Target }
  | { ok: false; message: string };

const CLUSTER_DOMAIN = 'svc.cluster.local';
const ROUTE_LABEL = 'serving.knative.dev/route';
/** A Kubernetes Service by its name in the cluster. */
const SERVICE_HOST = /^([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.svc(?:\.cluster\.local)?$/;

const failed = (message: string): Resolution => ({ ok: false, message });

/** A reference as upstream's messages show it. */
const shown = ({ kind, namespace, name, apiVersion, group, address }: KReference): string =>
  `Kind = ${kind}, Namespace = ${namespace ?? ''}, Name = ${name}, APIVersion = ${apiVersion ?? ''}, Group = ${group ?? ''}, Address = ${address ?? ''}`;

/** Templates of addresses of kinds that have none themselves, by `Kind.version.group`: config-kreference-mapping. */
export type Mapping = Readonly<Record<string, string>>;

/** Resolves what an object of `namespace` names. Never rejects for what is merely not there. */
export async function resolve(
  destination: Destination | undefined,
  namespace: string,
  reader: Reader,
  mapping: Mapping = {},
): Promise<Resolution> {
  const { ref, uri } = destination ?? {};
  try {
    if (destination !== undefined && ref !== undefined) {
      const found = await resolveReference({ namespace, ...ref }, destination, reader, mapping);
      return uri === undefined || uri === '' ? found : below(found, uri);
    }
    if (destination !== undefined && uri !== undefined) return await resolveUri(uri, destination, reader);
  } catch (error) {
    if (error instanceof NoSuchKind) return failed(`failed to get lister: ${error.message}`);
    throw error;
  }
  return failed('destination missing Ref and URI, expected at least one');
}

/** `uri` as a relative reference to what was found. */
function below(found: Resolution, uri: string): Resolution {
  if (!found.ok) return found;
  if (URL.canParse(uri))
    return failed('absolute URI is not allowed when Ref or [apiVersion, kind, name] exists');
  const url = new URL(uri, found.address.url).href;
  return { ok: true, address: { ...found.address, url }, target: { ...found.target, url } };
}

async function resolveUri(uri: string, destination: Destination, reader: Reader): Promise<Resolution> {
  if (!URL.canParse(uri) || new URL(uri).host === '')
    return failed(`URI is not absolute (both scheme and host should be non-empty): ${JSON.stringify(uri)}`);
  const address = addressOf({ url: uri }, destination);
  const url = new URL(uri);
  const [, name, namespace] = SERVICE_HOST.exec(url.hostname) ?? [];
  const service = name && namespace ? await reader.get(SERVICES, namespace, name) : undefined;
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const behind = service === undefined ? {} : await whatIsBehind(service, port, reader);
  return { ok: true, address, target: { ...targetOf(address), ...behind } };
}

async function resolveReference(
  reference: KReference & { namespace: string },
  destination: Destination,
  reader: Reader,
  mapping: Mapping,
): Promise<Resolution> {
  const { namespace, name, kind } = reference;
  const apiVersion = reference.apiVersion || (reference.group ? `${reference.group}/v1` : '');
  const resource = resourceOf(apiVersion, kind);
  const object = await reader.get(resource, namespace, name);
  if (object === undefined)
    return failed(`failed to get object ${namespace}/${name}: ${notFound(resource, name)}`);
  const mapped = mappedUrl(mapping, apiVersion, object);
  if (mapped !== undefined) return mapped;
  if (resource === SERVICES) {
    const scheme = destination.CACerts ? 'https' : 'http';
    const url = `${scheme}://${name}.${namespace}.${CLUSTER_DOMAIN}`;
    const address = addressOf({ url, ...(reference.address && { name: reference.address }) }, destination);
    const behind = await whatIsBehind(object, scheme === 'https' ? 443 : 80, reader);
    return { ok: true, address, target: { ...targetOf(address), ...behind } };
  }
  // What a Function answers is its Knative Service, what an alias answers its Route.
  const [addressable, route] =
    resource.group !== 'petrel.dev'
      ? [object, resource === KSERVICES || resource === ROUTES]
      : kind === 'Function'
        ? [await reader.get(KSERVICES, namespace, name), true]
        : kind === 'FunctionAlias'
          ? [await reader.get(ROUTES, namespace, name), true]
          : [object, false];
  const address = selectAddress(addressable, reference);
  if (typeof address === 'string') return failed(address);
  if (!URL.canParse(address.url) || new URL(address.url).host === '')
    return failed(`hostname missing in address of ${shown(reference)}`);
  const chosen = addressOf(address, destination);
  return {
    ok: true,
    address: chosen,
    target: {
      ...targetOf(chosen),
      ...(route && { route: `${namespace}/${name}` }),
      // Handlers return what they like; upstream's rule would make that a failure.
      ...(resource.group === 'petrel.dev' && route && { anyAnswer: true as const }),
    },
  };
}

/** What config-kreference-mapping says of objects of that kind. */
function mappedUrl(
  mapping: Mapping,
  apiVersion: string,
  { kind, metadata }: UntypedObject,
): Resolution | undefined {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const key = [kind, version, group].filter((part) => part !== '').join('.');
  const template = Object.hasOwn(mapping, key) ? mapping[key] : undefined;
  if (template === undefined) return undefined;
  try {
    const { name, namespace = '', uid = '' } = metadata;
    const values = { Name: name, Namespace: namespace, SystemNamespace: EVENTING_NAMESPACE, UID: uid };
    const url = compileTemplate(template)(values).trim();
    if (!URL.canParse(url)) return failed(`the mapping of ${key} gives no URL: ${JSON.stringify(url)}`);
    return { ok: true, address: { url }, target: { url } };
  } catch (error) {
    return failed(`the mapping of ${key} cannot be used: ${messageOf(error)}`);
  }
}

/** The address that is asked for by name, else the first; or why there is none. */
function selectAddress(
  object: UntypedObject | undefined,
  reference: KReference,
): (Addressable & { url: string }) | string {
  const { address, addresses }: { address?: Addressable; addresses?: Addressable[] } = object?.status ?? {};
  const list = addresses ?? [];
  if (list.length === 0 && !address) return `address not set for ${shown(reference)}`;
  const wanted = reference.address;
  const found = wanted ? list.find(({ name }) => name === wanted) : (list[0] ?? address);
  if (found === undefined)
    return `address with name ${JSON.stringify(wanted)} not found for ${shown(reference)}`;
  return found.url ? { ...found, url: found.url } : `URL missing in address of ${shown(reference)}`;
}

/** What the destination says of certificates and audience wins over the address. */
function addressOf(
  address: Addressable & { url: string },
  { CACerts, audience }: Destination,
): Addressable & { url: string } {
  return { ...address, ...(CACerts && { CACerts }), ...(audience && { audience }) };
}

function targetOf({ url, CACerts, audience }: Addressable & { url: string }): Target {
  return { url, ...(CACerts && { caCerts: CACerts }), ...(audience && { audience }) };
}

interface ServicePort {
  name?: string;
  port: number;
  targetPort?: number | string;
}

/** Where a Kubernetes Service leads: to a Route whose name it only holds, to another host, or to Pods. */
async function whatIsBehind(
  service: UntypedObject,
  wanted: number,
  reader: Reader,
): Promise<Pick<Target, 'endpoints' | 'route'>> {
  const { namespace = '', labels = {} } = service.metadata;
  const route = labels[ROUTE_LABEL];
  if (route !== undefined) return { route: `${namespace}/${route}` };
  const { type, externalName, selector, ports = [] } = service.spec ?? {};
  const port: ServicePort | undefined =
    ports.find(({ port: number }: ServicePort) => number === wanted) ?? ports[0];
  if (type === 'ExternalName')
    return externalName ? { endpoints: [{ host: externalName, port: port?.port ?? wanted }] } : {};
  if (selector === undefined || Object.keys(selector).length === 0) return {};
  const labelsWanted = Object.entries<string>(selector);
  const pods = await reader.list(PODS, namespace, ({ metadata }) =>
    labelsWanted.every(([key, value]) => metadata.labels?.[key] === value),
  );
  return {
    endpoints: pods.flatMap((pod) => {
      const host: string | undefined = pod.status?.podIP;
      const number = isReady(pod) ? portOf(pod, port, wanted) : undefined;
      return host && number !== undefined ? [{ host, port: number }] : [];
    }),
  };
}

const isReady = ({ metadata, status }: UntypedObject): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status?.conditions ?? []).some(
    (condition: { type: string; status: string }) =>
      condition.type === 'Ready' && condition.status === 'True',
  );

/** The port of a Pod that a port of a Service leads to; a name is that of a container's port. */
function portOf(pod: UntypedObject, port: ServicePort | undefined, wanted: number): number | undefined {
  const target = port?.targetPort ?? port?.port ?? wanted;
  if (typeof target === 'number') return target;
  if (/^\d+$/.test(target)) return Number(target);
  const containers: { ports?: { name?: string; containerPort: number }[] }[] = pod.spec?.containers ?? [];
  return containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === target)?.containerPort;
}
