/**
 * DomainMappings: a host name of one's own for a Service or Route. Who has a name is kept by ClusterDomainClaims, one for each name
 * in the whole cluster. Source: upstream's `reconciler/domainmapping`.
 */
import { type ConditionManager, conditionSet } from '../kinds/conditions.ts';
import type { Route } from '../kinds/serving.ts';
import type { ClusterDomainClaim, DomainMapping } from '../kinds/serving-internal.ts';
import { KubeError } from '../kube/client.ts';
import { keyOf, objectKey, splitKey } from '../kube/indexed-store.ts';
import { CLUSTER_DOMAIN_CLAIMS, DOMAIN_MAPPINGS } from '../kube/refs.ts';
import { markCertificate } from './certificate.ts';
import type { LiveConfig } from './config.ts';
import type { ServingContext } from './context.ts';
import { externalUrl } from './domains.ts';
import { NETWORK } from './settings.ts';

const conditions = conditionSet(
  'DomainClaimed',
  'ReferenceResolved',
  'IngressReady',
  'CertificateProvisioned',
);
/** On claims that were made for a mapping, and go with it. */
const MADE_FOR_MAPPING = 'petrel.dev/made-for-domain-mapping';
const SERVING_KINDS = ['Service', 'Route'];

export interface DomainMappings {
  reconcile(key: string): Promise<number | undefined>;
  /** The hosts that mappings give to the Route: claimed, and no other Route's own. */
  hostsOf(route: Route): string[];
}

/** Key of the Route that a mapping is for; undefined for what no Route answers. */
export function mappedRoute({ metadata, spec: { ref } }: DomainMapping): string | undefined {
  const group = ref.group ?? ref.apiVersion?.split('/')[0];
  if (!SERVING_KINDS.includes(ref.kind) || group !== 'serving.knative.dev') return undefined;
  return objectKey(ref.namespace || metadata.namespace, ref.name);
}

export function createDomainMappings(options: {
  context: ServingContext;
  config: LiveConfig;
  /** Port at which clients reach the gateway. */
  port: number;
  /** Key of the Route that answers the host now. */
  answers(host: string): string | undefined;
}): DomainMappings {
  const { context, config, answers } = options;
  const { caches, client } = context;

  const isClaimed = ({ metadata }: DomainMapping): boolean =>
    caches.claims.get(undefined, metadata.name)?.spec.namespace === metadata.namespace;

  const claim = async (mapping: DomainMapping): Promise<boolean> => {
    const { name, namespace = '' } = mapping.metadata;
    const existing = caches.claims.get(undefined, name);
    if (existing) return existing.spec.namespace === namespace;
    if (!config.read(NETWORK).autocreateClusterDomainClaims) return false;
    const wanted: ClusterDomainClaim = {
      apiVersion: 'networking.internal.knative.dev/v1alpha1',
      kind: 'ClusterDomainClaim',
      metadata: { name, annotations: { [MADE_FOR_MAPPING]: 'true' } },
      spec: { namespace },
    };
    try {
      await client.create(CLUSTER_DOMAIN_CLAIMS, wanted);
      return true;
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      const found = await client.get<ClusterDomainClaim>(CLUSTER_DOMAIN_CLAIMS, undefined, name);
      return found.spec.namespace === namespace;
    }
  };

  /** The mapping is gone: so is its claim, if it was made for it. */
  const release = async (namespace: string | undefined, name: string) => {
    const claimed = caches.claims.get(undefined, name);
    if (claimed?.spec.namespace !== namespace || !claimed?.metadata.annotations?.[MADE_FOR_MAPPING]) return;
    try {
      await client.delete(CLUSTER_DOMAIN_CLAIMS, undefined, name, {
        preconditions: { uid: claimed.metadata.uid },
      });
    } catch (error) {
      if (!(error instanceof KubeError && (error.code === 404 || error.code === 409))) throw error;
    }
  };

  /** Why the reference leads nowhere; undefined when it leads to a Route. */
  const unresolved = (mapping: DomainMapping): string | undefined => {
    const { ref } = mapping.spec;
    const routeKey = mappedRoute(mapping);
    if (!routeKey) return `${ref.kind} "${ref.name}" is neither a Service nor a Route of serving.knative.dev`;
    const { namespace, name } = splitKey(routeKey);
    if (namespace !== mapping.metadata.namespace) {
      const uri = `http://${name}.${namespace}.svc.cluster.local`;
      return `resolved URI "${uri}" must be in same namespace as DomainMapping`;
    }
    const target = (ref.kind === 'Service' ? caches.services : caches.routes).get(namespace, name);
    if (!target) return `${ref.kind.toLowerCase()}s.serving.knative.dev "${name}" not found`;
    return target.status?.address?.url ? undefined : `address not set for ${ref.kind} "${name}"`;
  };

  const markRest = (manager: ConditionManager, mapping: DomainMapping) => {
    if (mapping.spec.tls) {
      manager.markTrue(
        'CertificateProvisioned',
        'CertificateExternallyProvided',
        'TLS certificate was provided externally',
      );
    } else {
      const certificate = mapping.metadata.name;
      markCertificate(manager, config.read(NETWORK), mapping.metadata, { certificate });
    }
    const problem = unresolved(mapping);
    if (problem) return manager.markFalse('ReferenceResolved', 'ResolveFailed', problem);
    manager.markTrue('ReferenceResolved');
    const by = answers(mapping.metadata.name);
    if (by === mappedRoute(mapping)) manager.markTrue('IngressReady');
    else if (by) {
      const message = `Route "${by}" answers this host by its own name.`;
      manager.markFalse('IngressReady', 'DomainInUse', message);
    } else {
      manager.markUnknown('IngressReady', 'IngressNotConfigured', 'Ingress has not yet been reconciled.');
    }
  };

  return {
    hostsOf: (route) =>
      caches.domainMappings
        .byIndex('route', keyOf(route))
        .filter(({ metadata }) => metadata.namespace === route.metadata.namespace)
        .filter((mapping) => !mapping.metadata.deletionTimestamp && isClaimed(mapping))
        .map(({ metadata }) => metadata.name.toLowerCase())
        .filter((host) => [undefined, keyOf(route)].includes(answers(host)))
        .sort(),
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const mapping = caches.domainMappings.get(namespace, name);
      if (!mapping || mapping.metadata.deletionTimestamp) {
        await release(namespace, name);
        return undefined;
      }
      const manager = conditions.manage(mapping.status?.conditions, context.clock.now());
      manager.initialize();
      const scheme = mapping.spec.tls ? 'https' : config.read(NETWORK).defaultExternalScheme;
      const url = externalUrl(scheme, name, options.port);
      if (await claim(mapping)) {
        manager.markTrue('DomainClaimed');
        markRest(manager, mapping);
      } else {
        manager.markFalse(
          'DomainClaimed',
          'DomainAlreadyClaimed',
          'The domain name is already in use by another DomainMapping',
        );
      }
      return context.writeStatus(DOMAIN_MAPPINGS, mapping, {
        ...mapping.status,
        url,
        address: { url },
        conditions: manager.conditions,
        observedGeneration: mapping.metadata.generation,
      });
    },
  };
}
