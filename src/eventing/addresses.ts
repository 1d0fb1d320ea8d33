/**
 * What is an address of ours: `/events/<kind>/<ns>/<name>` on any host, and the names that Knative's own addresses have in a cluster.
 * Source of the names: knative/eventing, `pkg/reconciler/names` and the addresses that its brokers, channels and sinks write in their status.
 */
import type { AddressKey } from './model.ts';

/** Kinds of address, the first part of an `AddressKey`. */
export const ADDRESS_KINDS = ['broker', 'channel', 'sink', 'transform', 'job', 'source'] as const;

export type AddressKind = (typeof ADDRESS_KINDS)[number];

/** Before the path of every address; also what the gateway hands over. */
export const EVENTS_PREFIX = '/events/';

/** Host → kind, where the path is `/<ns>/<name>`. */
const HOSTS: Record<string, AddressKind> = {
  'broker-ingress.knative-eventing': 'broker',
  'imc-dispatcher.knative-eventing': 'channel',
  'job-sink.knative-eventing': 'job',
};

/** Hosts that belong to eventing whatever the path; linear, for the gateway. */
export const EVENTS_HOSTS =
  /^(?:(?:broker-ingress|imc-dispatcher|job-sink)\.knative-eventing|[a-z0-9-]{1,63}-kn-channel\.[a-z0-9-]{1,63})\.svc(?:\.cluster\.local)?$/;

const CLUSTER_LOCAL = /\.svc(?:\.cluster\.local)?$/;
const CHANNEL_HOST = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)-kn-channel\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
/** Kinds whose addresses go on behind the name. */
const WITH_REST: ReadonlySet<AddressKind> = new Set(['source', 'job']);

/** An address of ours. */
export interface Address {
  kind: AddressKind;
  key: AddressKey;
  namespace: string;
  name: string;
  /** What follows the name, query included: `''`, `/…` or `?…`. */
  rest: string;
}

/** Why a request to ours has no address: the HTTP status that says so. */
export interface NoAddress {
  status: 400 | 404;
  message: string;
}

const NOTHING: NoAddress = { status: 404, message: 'there is nothing to send events to at this path' };
const MALFORMED: NoAddress = {
  status: 400,
  message:
    'the path is not that of an address: /events/<kind>/<namespace>/<name>, or /<namespace>/<name> on its own host',
};

/**
 * The address of a request to `host` (as in the header, port allowed) with that target (path and query). `/events/…` is ours on every
 * host; anything else on the hosts of `EVENTS_HOSTS` only.
 */
export function parseAddress(host: string, target: string): Address | NoAddress {
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const search = query < 0 ? '' : target.slice(query);
  if (path.startsWith(EVENTS_PREFIX)) {
    const end = path.indexOf('/', EVENTS_PREFIX.length);
    const kind = path.slice(EVENTS_PREFIX.length, end < 0 ? undefined : end);
    if (!isKind(kind)) return NOTHING;
    return end < 0 ? MALFORMED : fromPath(kind, path.slice(end), search);
  }
  const name = hostName(host);
  if (!CLUSTER_LOCAL.test(name)) return NOTHING;
  const short = name.replace(CLUSTER_LOCAL, '');
  const kind = Object.hasOwn(HOSTS, short) ? HOSTS[short] : undefined;
  if (kind !== undefined) return path === '/' || path === '' ? NOTHING : fromPath(kind, path, search);
  const channel = CHANNEL_HOST.exec(short);
  if (channel === null || (path !== '/' && path !== '')) return NOTHING;
  return address('channel', channel[2]!, channel[1]!, search);
}

/** Of `/<ns>/<name>…`. */
function fromPath(kind: AddressKind, path: string, search: string): Address | NoAddress {
  const [, namespace = '', name = '', ...more] = path.split('/');
  if (!NAMESPACE.test(namespace) || !NAME.test(name)) return MALFORMED;
  if (WITH_REST.has(kind)) {
    const rest = more.length === 0 ? '' : `/${more.join('/')}`;
    return address(kind, namespace, name, rest + search);
  }
  // One slash at the end means nothing, as upstream has it.
  if (more.length > 1 || (more.length === 1 && more[0] !== '')) return MALFORMED;
  return address(kind, namespace, name, search);
}

function address(kind: AddressKind, namespace: string, name: string, rest: string): Address {
  return { kind, key: `${kind}/${namespace}/${name}`, namespace, name, rest };
}

function hostName(host: string): string {
  const colon = host.lastIndexOf(':');
  const name = (colon < 0 ? host : host.slice(0, colon)).toLowerCase();
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

function isKind(kind: string): kind is AddressKind {
  return (ADDRESS_KINDS as readonly string[]).includes(kind);
}

/**
 * The address of ours that a URL means, or undefined: it is somewhere else. `base` is `EngineOptions.base`. URLs of sources are not taken:
 * a webhook wants the request as it is.
 */
export function localAddress(url: string, base: string): AddressKey | undefined {
  let found: Address | NoAddress;
  if (url.startsWith(`${base}/`)) found = parseAddress('', EVENTS_PREFIX + url.slice(base.length + 1));
  else {
    const scheme = /^https?:\/\/([^/?#@]+)([^#]*)/.exec(url);
    if (scheme === null || !EVENTS_HOSTS.test(hostName(scheme[1]!))) return undefined;
    found = parseAddress(scheme[1]!, scheme[2] === '' ? '/' : scheme[2]!);
  }
  return 'key' in found && found.kind !== 'source' ? found.key : undefined;
}

/** Where an address is reached. */
export function addressUrl(base: string, key: AddressKey): string {
  return `${base}/${key}`;
}
