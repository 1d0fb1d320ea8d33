/**
 * Knative's Ingress of a Route, as the gateway serves it: for tools that look, and as the memory of a rollout. Source: upstream's
 * `route/resources/ingress.go`.
 */
import { conditionOf } from '../../kinds/conditions.ts';
import type { Condition } from '../../kinds/object.ts';
import type { HttpIngressPath, Ingress, IngressRule } from '../../kinds/serving-internal.ts';
import { controllerReference } from '../../kube/owners.ts';
import { LABELS, LAST_APPLIED, without } from '../names.ts';
import type { AssignedRoute } from '../routes.ts';
import { splitOf, tagsOf } from '../traffic.ts';

const INGRESS_CLASS = 'networking.knative.dev/ingress.class';
const TAG_TO_HOST = 'networking.internal.knative.dev/tag-to-host';
const TAG_HEADER = 'Knative-Serving-Tag';
const DEFAULT_ROUTE = 'Knative-Serving-Default-Route';
const HTTP_PORT = 80;

export interface IngressOptions {
  ingressClass: string;
  tagHeaders: boolean;
  /** Address of the gateway. */
  host: string;
}

/** The Ingress that upstream would write for a Route whose traffic is assigned. */
export function ingressOf(assigned: AssignedRoute, options: IngressOptions): Ingress {
  const { route, names, rollout, targets } = assigned;
  const { name, namespace = '' } = route.metadata;
  const tags = tagsOf(targets).sort();
  const rules = ['', ...tags].flatMap((tag) => rulesFor(assigned, tag, tags, options));
  const address = { ingress: [{ ip: options.host }] };
  const assignedSince = conditionOf(route, 'AllTrafficAssigned')?.lastTransitionTime;
  const ready = (type: string): Condition => ({
    type,
    status: 'True',
    ...(assignedSince && { lastTransitionTime: assignedSince }),
  });
  const tagToHost = Object.fromEntries(tags.map((tag) => [tag, [names.host(tag)]]));
  return {
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'Ingress',
    metadata: {
      name,
      namespace,
      labels: { ...route.metadata.labels, [LABELS.route]: name, [LABELS.routeNamespace]: namespace },
      annotations: {
        [INGRESS_CLASS]: options.ingressClass,
        ...without(route.metadata.annotations, LAST_APPLIED),
        [LABELS.rollout]: JSON.stringify(rollout),
        ...(tags.length > 0 && { [TAG_TO_HOST]: JSON.stringify(tagToHost) }),
      },
      ownerReferences: [controllerReference(route)],
    },
    spec: { httpOption: 'Enabled', rules },
    status: {
      observedGeneration: 1,
      conditions: [ready('LoadBalancerReady'), ready('NetworkConfigured'), ready('Ready')],
      publicLoadBalancer: address,
      privateLoadBalancer: address,
    },
  };
}

function rulesFor(
  { route, names, targets, rollout }: AssignedRoute,
  tag: string,
  tags: string[],
  { tagHeaders }: IngressOptions,
): IngressRule[] {
  const namespace = route.metadata.namespace ?? '';
  const path = (of: string): HttpIngressPath => ({
    splits: [...splitOf(targets, rollout, of)].map(([revision, percent]) => ({
      serviceNamespace: namespace,
      serviceName: revision,
      servicePort: HTTP_PORT,
      percent,
      appendHeaders: { 'Knative-Serving-Namespace': namespace, 'Knative-Serving-Revision': revision },
    })),
  });
  const own = path(tag);
  let paths = [own];
  if (tagHeaders && tag === '') {
    own.appendHeaders = { [DEFAULT_ROUTE]: 'true' };
    paths = [...tags.map((one) => ({ ...path(one), headers: { [TAG_HEADER]: { exact: one } } })), own];
  } else if (tagHeaders) own.appendHeaders = { [TAG_HEADER]: tag };
  const hosts = names.hosts(tag);
  const rule = (visibility: IngressRule['visibility'], of: string[]): IngressRule => ({
    hosts: of,
    visibility,
    http: { paths },
  });
  if (names.clusterLocal(tag)) return [rule('ClusterLocal', hosts.toSorted())];
  return [rule('ClusterLocal', hosts.slice(1).sort()), rule('ExternalIP', hosts.slice(0, 1))];
}
