/**
 * ResourceQuotas: refuses what would exceed one, and says in each how much is used. Where a namespace has none, neither costs
 * anything. Source: apiserver `admission/plugin/resourcequota`.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../base/log.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import {
  amountsText,
  amountText,
  countedKind,
  inScope,
  limitOf,
  type QuotaAmounts,
  type ResourceQuota,
  unsaid,
  usageOf,
} from '../../kinds/quota.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import type { Store, StoreEvent } from '../store/contract.ts';
import { forbidden } from './errors.ts';
import { storeKey } from './target.ts';

const QUOTAS = '/resourcequotas';

export interface Quotas {
  /** Whether the namespace has any; ask before `admit`. */
  has(namespace: string): boolean;
  /**
   * Throws 403 when the object, which `old` becomes, would take more than a quota of its namespace leaves. Counts what is being
   * committed too: who writes without waiting after this is never too late.
   */
  admit(definition: ResourceDefinition, object: UntypedObject, old?: UntypedObject): void;
  close(): void;
}

export function createQuotas(store: Store, log: Logger): Quotas {
  /** Namespace → names of its quotas; undefined while nobody has any. */
  let names: Map<string, Set<string>> | undefined;
  const note = (namespace: string, name: string) => {
    names ??= new Map();
    names.set(namespace, (names.get(namespace) ?? new Set()).add(name));
  };
  const forget = (namespace: string, name: string) => {
    const left = names?.get(namespace);
    left?.delete(name);
    if (left?.size === 0) names?.delete(namespace);
    if (names?.size === 0) names = undefined;
  };

  const quotasOf = (namespace: string): ResourceQuota[] =>
    [...(names?.get(namespace) ?? [])].sort().flatMap((name) => {
      const quota = store.latest(QUOTAS, namespace, name)?.object;
      return quota === undefined ? [] : [quota as ResourceQuota];
    });

  /** What all objects of the namespace take of these names; `kind` limits it to one kind. */
  const used = (quota: ResourceQuota, of: readonly string[], kind?: string): QuotaAmounts => {
    const sum: QuotaAmounts = Object.fromEntries(of.map((name) => [name, 0]));
    const namespace = quota.metadata.namespace ?? '';
    for (const resource of new Set(of.map(countedKind))) {
      if (resource === undefined || (kind !== undefined && resource !== kind)) continue;
      const slash = resource.lastIndexOf('/');
      const counted = { group: resource.slice(0, slash), plural: resource.slice(slash + 1) };
      for (const { object } of store.latestIn(resource, namespace)) {
        if (!inScope(quota, counted, object)) continue;
        for (const [name, amount] of Object.entries(usageOf(counted, object, of))) sum[name]! += amount;
      }
    }
    return sum;
  };

  /** Quotas whose status is being written, by key; true: look again afterwards. */
  const writing = new Map<string, boolean>();
  const refresh = (namespace: string, name: string) => {
    const key = `${namespace}/${name}`;
    if (writing.has(key)) {
      writing.set(key, true);
      return;
    }
    const stored = store.latest(QUOTAS, namespace, name);
    if (stored === undefined || stored.object.metadata.deletionTimestamp !== undefined) return;
    const quota = stored.object as ResourceQuota;
    const hard = quota.spec?.hard ?? {};
    const amounts = used(quota, Object.keys(hard));
    const status = {
      hard: { ...hard },
      used: Object.fromEntries(Object.entries(amounts).map(([of, amount]) => [of, amountText(of, amount)])),
    };
    if (isDeepStrictEqual(status, stored.object.status)) return;
    writing.set(key, false);
    store
      .put(QUOTAS, { ...stored.clone(), status })
      .catch((error) => log.warn('the use of a quota was not noted', { quota: key, error: String(error) }))
      .finally(() => {
        const again = writing.get(key) === true;
        writing.delete(key);
        if (again) refresh(namespace, name);
      });
  };

  const committed = (events: StoreEvent[]) => {
    for (const { type, current } of events) {
      if (current.resource !== QUOTAS) continue;
      if (type === 'DELETED') forget(current.namespace, current.name);
      else note(current.namespace, current.name);
    }
    if (names === undefined) return;
    const touched = new Map<string, Set<string>>();
    for (const { current } of events) {
      if (!names.has(current.namespace)) continue;
      touched.set(current.namespace, (touched.get(current.namespace) ?? new Set()).add(current.resource));
    }
    for (const [namespace, resources] of touched) {
      for (const quota of quotasOf(namespace)) {
        const concerns = (name: string) => resources.has(countedKind(name) ?? '');
        if (resources.has(QUOTAS) || Object.keys(quota.spec?.hard ?? {}).some(concerns))
          refresh(namespace, quota.metadata.name);
      }
    }
  };
  const stop = store.onCommit(committed);
  for (const { namespace, name } of store.list(QUOTAS).items) {
    note(namespace, name);
    refresh(namespace, name);
  }

  return {
    has: (namespace) => names?.has(namespace) ?? false,
    admit(definition, object, old) {
      const refuse = (why: string) => forbidden(definition, object.metadata.name, why);
      for (const quota of quotasOf(object.metadata.namespace ?? '')) {
        if (!inScope(quota, definition, object)) continue;
        const hard = quota.spec?.hard ?? {};
        const requested = usageOf(definition, object, Object.keys(hard));
        const isPod = storeKey(definition) === '/pods';
        const missing = isPod && old === undefined ? unsaid(object, Object.keys(requested)) : undefined;
        if (missing !== undefined) throw refuse(`failed quota: ${quota.metadata.name}: ${missing}`);
        const before =
          old && inScope(quota, definition, old) ? usageOf(definition, old, Object.keys(requested)) : {};
        for (const [name, amount] of Object.entries(before)) requested[name]! -= amount;
        const more = Object.keys(requested).filter((name) => requested[name]! > 0);
        if (more.length === 0) continue;
        const taken = used(quota, more, storeKey(definition));
        const exceeded = more.filter((name) => taken[name]! + requested[name]! > limitOf(name, hard[name]!));
        if (exceeded.length === 0) continue;
        const limits = Object.fromEntries(exceeded.map((name) => [name, limitOf(name, hard[name]!)]));
        throw refuse(
          `exceeded quota: ${quota.metadata.name}, requested: ${amountsText(exceeded, requested)}, ` +
            `used: ${amountsText(exceeded, taken)}, limited: ${amountsText(exceeded, limits)}`,
        );
      }
    },
    close: stop,
  };
}
