/** TrafficPolicies: which one holds for a Route, what the gateway is told of it, and what became of it in its status. */
import type { RequestKey, RevisionKey } from '../gateway/contract.ts';
import { conditionSet } from '../kinds/conditions.ts';
import type { Route } from '../kinds/serving.ts';
import type { TrafficPolicy } from '../kinds/traffic-policy.ts';
import { keyOf, splitKey } from '../kube/indexed-store.ts';
import { TRAFFIC_POLICIES } from '../kube/refs.ts';
import { olderFirst } from './canary/policy.ts';
import type { ServingContext } from './context.ts';
import { LABELS } from './names.ts';
import { type RevisionTerms, translatePolicy } from './policy.ts';
import type { TermedGateway } from './revision-terms.ts';
import type { AppliedPolicy } from './routes.ts';
import type { ResolvedTarget } from './traffic.ts';

const conditions = conditionSet();

export interface RoutePolicies {
  /** The policy of a Route whose traffic is resolved; its revisions are told of their part at once. */
  apply(route: Route, targets: readonly ResolvedTarget[]): AppliedPolicy | undefined;
  /** The Route behind the key is gone. */
  forget(key: string): void;
  /** Writes what became of a policy. */
  reconcile(key: string): Promise<number | undefined>;
}

/** Key of the Route that a policy is about: Services and Functions have a Route of their own name. */
export function routeKeyOf({ metadata, spec }: TrafficPolicy): string {
  return `${metadata.namespace}/${spec.targetRef.name}`;
}

export function createPolicies(options: {
  context: ServingContext;
  terms: Pick<TermedGateway, 'say'>;
  /** What requests of a Service stay with one instance by. */
  sticky(serviceKey: string): RequestKey | undefined;
  /** The status of the policy behind `key` may have changed. */
  onOutcome(key: string): void;
}): RoutePolicies {
  const { context, terms } = options;
  const { caches } = context;
  /** Route key → the revisions that have been told something. */
  const told = new Map<string, Set<RevisionKey>>();
  /** Policy key → which one was applied last, and what was wrong with it. */
  const outcomes = new Map<string, { of: string; problems: string }>();

  const chosen = (routeKey: string): TrafficPolicy | undefined =>
    caches.policies
      .byIndex('route', routeKey)
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .sort(olderFirst)[0];

  const tell = (routeKey: string, revisions: Set<RevisionKey>, what: Parameters<TermedGateway['say']>[2]) => {
    for (const key of told.get(routeKey) ?? []) if (!revisions.has(key)) terms.say(key, routeKey, undefined);
    for (const key of revisions) terms.say(key, routeKey, what);
    if (revisions.size > 0) told.set(routeKey, revisions);
    else told.delete(routeKey);
  };

  const stickyTerms = (revisions: readonly RevisionKey[]): RevisionTerms | undefined => {
    for (const key of revisions) {
      const { namespace, name } = splitKey(key);
      const service = caches.revisions.get(namespace, name)?.metadata.labels?.[LABELS.service];
      const hashOn = service === undefined ? undefined : options.sticky(`${namespace}/${service}`);
      if (hashOn) return { balancing: { policy: 'RingHash', hashOn } };
    }
    return undefined;
  };

  const targetExists = ({ metadata, spec: { targetRef } }: TrafficPolicy): boolean => {
    if (targetRef.kind === 'Route')
      return caches.routes.get(metadata.namespace, targetRef.name) !== undefined;
    const service = caches.services.get(metadata.namespace, targetRef.name);
    if (targetRef.kind === 'Service') return service !== undefined;
    return service?.metadata.ownerReferences?.some(({ kind }) => kind === targetRef.kind) ?? false;
  };

  return {
    apply(route, targets) {
      const routeKey = keyOf(route);
      const policy = chosen(routeKey);
      const namespace = route.metadata.namespace ?? '';
      const all = targets.map(({ revisionName }) => `${namespace}/${revisionName}`);
      const own = stickyTerms(all);
      if (!policy) {
        if (own) tell(routeKey, new Set(all), own);
        else if (told.has(routeKey)) tell(routeKey, new Set(), undefined);
        return undefined;
      }
      const translated = translatePolicy(policy.spec, {
        namespace,
        route: route.metadata.name,
        tags: new Map(
          targets.flatMap(({ tag, revisionName }) => (tag ? [[tag, revisionName] as const] : [])),
        ),
        revisionExists: (name) => caches.revisions.get(namespace, name) !== undefined,
      });
      tell(routeKey, new Set([...all, ...translated.revisions]), { ...own, ...translated.terms });
      const outcome = { of: version(policy), problems: translated.problems.join(' ') };
      const before = outcomes.get(keyOf(policy));
      if (before?.of !== outcome.of || before.problems !== outcome.problems) {
        outcomes.set(keyOf(policy), outcome);
        options.onOutcome(keyOf(policy));
      }
      return { policy: translated.policy, revisions: translated.revisions };
    },
    forget(key) {
      if (told.has(key)) tell(key, new Set(), undefined);
    },
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const policy = caches.policies.get(namespace, name);
      if (!policy || policy.metadata.deletionTimestamp) {
        outcomes.delete(key);
        return undefined;
      }
      const manager = conditions.manage(policy.status?.conditions, context.clock.now());
      manager.initialize();
      const { kind, name: target } = policy.spec.targetRef;
      const first = chosen(routeKeyOf(policy));
      const applied = outcomes.get(key);
      const problems = applied?.of === version(policy) ? applied.problems : undefined;
      if (!targetExists(policy))
        manager.markFalse('Ready', 'TargetNotFound', `${kind} "${target}" not found.`);
      else if (first && first !== policy) {
        const message = `TrafficPolicy "${first.metadata.name}" is older and holds for ${kind} "${target}".`;
        manager.markFalse('Ready', 'Conflicted', message);
      } else if (problems) manager.markFalse('Ready', 'TargetNotResolved', problems);
      else if (problems === '') manager.markTrue('Ready');
      else
        manager.markUnknown(
          'Ready',
          'TargetNotReady',
          `The traffic of ${kind} "${target}" is not assigned yet.`,
        );
      return context.writeStatus(TRAFFIC_POLICIES, policy, {
        ...policy.status,
        conditions: manager.conditions,
        observedGeneration: policy.metadata.generation,
      });
    },
  };
}

function version({ metadata }: TrafficPolicy): string {
  return `${metadata.uid} ${metadata.generation}`;
}
