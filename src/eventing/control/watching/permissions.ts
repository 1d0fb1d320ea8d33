/** Whether a service account may watch. Source: knative.dev/eventing `pkg/reconciler/apiserversource`. */
import type { UntypedObject } from '../../../kinds/object.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../../kube/client.ts';

const REVIEWS: ResourceRef = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SubjectAccessReview',
  plural: 'subjectaccessreviews',
  namespaced: false,
};
const VERBS = ['get', 'list', 'watch'];

export type Permissions =
  | { allowed: true; reason?: string; message?: string }
  | { allowed: false; message: string };

/** Asks the API; one that cannot be asked holds nobody to anything. */
export async function mayWatch(
  client: KubeClient,
  user: string,
  resources: readonly ResourceRef[],
  namespaces: readonly string[],
): Promise<Permissions> {
  const missing: string[] = [];
  for (const { group, plural } of resources)
    for (const namespace of namespaces) {
      const lacking: string[] = [];
      for (const verb of VERBS) {
        const resourceAttributes = { namespace, verb, group, resource: plural };
        try {
          const answer = await client.create(REVIEWS, {
            apiVersion: 'authorization.k8s.io/v1',
            kind: REVIEWS.kind,
            metadata: {},
            spec: { user, resourceAttributes },
          } as unknown as UntypedObject);
          if (answer.status?.allowed !== true) lacking.push(verb);
        } catch (error) {
          if (!(error instanceof KubeError) || (error.code !== 404 && error.code !== 405)) throw error;
          const message =
            'This API does not answer who may do what: whoever may write objects may watch them.';
          return { allowed: true, reason: 'NotAsked', message };
        }
      }
      if (lacking.length > 0)
        missing.push(
          `${lacking.join(', ')} resource "${plural}" in API group "${group}" in Namespace "${namespace}"`,
        );
    }
  return missing.length === 0
    ? { allowed: true }
    : { allowed: false, message: `User ${user} cannot ${missing.join(', ')}` };
}
