/**
 * What an object takes of a ResourceQuota, and how that is said. Pure. Source: kubernetes `pkg/quota/v1`,
 * `apiserver/pkg/admission/plugin/resourcequota/controller.go`, 1.32.
 */
import type { UntypedObject } from './object.ts';
import type { Pod } from './pod.ts';
import { type Amounts, podAmounts } from './pod-amounts.ts';
import { formatMillis, formatQuantity, parseCpuMillis, parseQuantity } from './quantity.ts';
import type { ResourceDefinition } from './resource.ts';

type Kind = Pick<ResourceDefinition, 'group' | 'plural'>;

/** Amounts by name in a quota: `cpu` and what ends in `.cpu` in thousandths, everything else in base units. */
export type QuotaAmounts = Record<string, number>;

export interface ResourceQuota extends UntypedObject {
  spec?: { hard?: Record<string, string>; scopes?: string[] };
}

/** Names in `spec.hard` that are not of the form `count/<resource>` → the kind they count. */
const COUNTED: Record<string, string> = {
  pods: '/pods',
  services: '/services',
  'services.loadbalancers': '/services',
  'services.nodeports': '/services',
  configmaps: '/configmaps',
  secrets: '/secrets',
  resourcequotas: '/resourcequotas',
  replicationcontrollers: '/replicationcontrollers',
  persistentvolumeclaims: '/persistentvolumeclaims',
};
const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];
/** Resources of Pods: name in a quota → name in a container, and which list there. */
const OF_PODS = new Map<string, ['requests' | 'limits', string]>(
  COMPUTE.flatMap((name): [string, ['requests' | 'limits', string]][] => [
    [name, ['requests', name]],
    [`requests.${name}`, ['requests', name]],
    [`limits.${name}`, ['limits', name]],
  ]),
);
/** Every container must say these where the quota limits them. */
const MUST_SAY = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'];
const STANDARD = new Set([...Object.keys(COUNTED), ...OF_PODS.keys(), 'requests.storage']);
const COUNT = 'count/';

/** Whether a name may stand in `spec.hard`: with a slash it is anybody's. */
export const isQuotaName = (name: string): boolean => STANDARD.has(name) || name.includes('/');
/** Whether a name counts objects, so that its limit is a whole number. */
export const isCounted = (name: string): boolean => Object.hasOwn(COUNTED, name) || name.startsWith(COUNT);

const podResource = (name: string): ['requests' | 'limits', string] | undefined =>
  OF_PODS.get(name) ??
  (name.startsWith('requests.') ? ['requests', name.slice('requests.'.length)] : undefined);

/** `count/services.serving.knative.dev` → `serving.knative.dev/services`: where what it counts is kept. */
export function countedKind(name: string): string | undefined {
  if (podResource(name) !== undefined) return '/pods';
  if (!name.startsWith(COUNT)) return COUNTED[name];
  const [plural = '', ...group] = name.slice(COUNT.length).split('.');
  return `${group.join('.')}/${plural}`;
}

const ENDED = ['Succeeded', 'Failed'];
const isActive = ({ status }: UntypedObject): boolean => !ENDED.includes(status?.phase);

/** Services of these types take of these. */
const SERVICE_TYPES: Record<string, string[]> = {
  'services.loadbalancers': ['LoadBalancer'],
  'services.nodeports': ['NodePort', 'LoadBalancer'],
};

/** What the object takes of each of these names; those it has nothing to do with are left out. */
export function usageOf(kind: Kind, object: UntypedObject, names: readonly string[]): QuotaAmounts {
  const key = `${kind.group}/${kind.plural}`;
  const usage: QuotaAmounts = {};
  const lists: Partial<Record<'requests' | 'limits', Amounts>> = {};
  for (const name of names) {
    if (countedKind(name) !== key) continue;
    const pod = podResource(name);
    if (name.startsWith(COUNT)) usage[name] = 1;
    else if (pod !== undefined) {
      const [list, resource] = pod;
      lists[list] ??= isActive(object) ? podAmounts(object as Pod, (resources) => resources[list] ?? {}) : {};
      usage[name] = lists[list][resource] ?? 0;
    } else if (key === '/pods') usage[name] = isActive(object) ? 1 : 0;
    else usage[name] = SERVICE_TYPES[name]?.includes(object.spec?.type) === false ? 0 : 1;
  }
  return usage;
}

const SCOPES: Record<string, (pod: UntypedObject) => boolean> = {
  Terminating: ({ spec }) => (spec?.activeDeadlineSeconds ?? -1) >= 0,
  NotTerminating: ({ spec }) => !((spec?.activeDeadlineSeconds ?? -1) >= 0),
  BestEffort: (pod) => isBestEffort(pod),
  NotBestEffort: (pod) => !isBestEffort(pod),
};
/** The scopes that are known here. */
export const QUOTA_SCOPES = Object.keys(SCOPES);

function isBestEffort({ spec }: UntypedObject): boolean {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return containers.every(({ resources }: { resources?: Record<string, Record<string, unknown>> }) =>
    ['cpu', 'memory'].every((name) => !resources?.requests?.[name] && !resources?.limits?.[name]),
  );
}

/** Whether the quota is about that object at all: one with scopes is only about Pods. */
export const inScope = ({ spec }: ResourceQuota, { plural, group }: Kind, object: UntypedObject): boolean =>
  (spec?.scopes ?? []).every(
    (scope) => group === '' && plural === 'pods' && SCOPES[scope]?.(object) !== false,
  );

/** What containers of the Pod must say but do not, as the refusal words it; undefined when nothing is missing. */
export function unsaid(pod: UntypedObject, names: readonly string[]): string | undefined {
  const parts = names
    .filter((name) => MUST_SAY.includes(name))
    .sort()
    .flatMap((name) => {
      const [list, resource] = OF_PODS.get(name)!;
      const silent = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
        .filter(({ resources }) => resources?.[list]?.[resource] === undefined)
        .map((container: { name: string }) => container.name);
      return silent.length === 0 ? [] : [`${name} for: ${[...new Set(silent)].sort().join(',')}`];
    });
  return parts.length === 0 ? undefined : `must specify ${parts.join('; ')}`;
}

const isCpu = (name: string): boolean => podResource(name)?.[1] === 'cpu';

/** The limit that a quota sets; NaN where it is no quantity. */
export const limitOf = (name: string, text: string | number): number =>
  isCpu(name) ? parseCpuMillis(text) : parseQuantity(text);

/** An amount as quantities are written; memory in units of 1024. */
export const amountText = (name: string, amount: number): string =>
  isCpu(name) ? formatMillis(amount) : formatQuantity(Math.ceil(amount), !isCounted(name));

/** `cpu=1,memory=1Gi`, of these names, in order. */
export const amountsText = (names: readonly string[], amounts: QuotaAmounts): string =>
  [...names]
    .sort()
    .map((name) => `${name}=${amountText(name, amounts[name] ?? 0)}`)
    .join(',');
