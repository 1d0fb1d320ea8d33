/** The Secrets and ConfigMaps that a Function names. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';

interface Reference {
  resource: ResourceRef;
  name: string;
}

/** What must exist before an instance can start; what is optional is left out. */
export function references(spec: FunctionSpec): Reference[] {
  const named: { resource: ResourceRef; name?: string; optional?: boolean }[] = [];
  for (const { secretRef, configMapRef } of spec.envFrom ?? []) {
    named.push({ resource: SECRETS, ...secretRef }, { resource: CONFIGMAPS, ...configMapRef });
  }
  for (const { valueFrom } of spec.env ?? []) {
    named.push(
      { resource: SECRETS, ...valueFrom?.secretKeyRef },
      { resource: CONFIGMAPS, ...valueFrom?.configMapKeyRef },
    );
  }
  for (const { secret, configMap } of spec.volumes ?? []) {
    named.push(
      { resource: SECRETS, ...secret, name: secret?.secretName },
      { resource: CONFIGMAPS, ...configMap },
    );
  }
  const distinct = new Map<string, Reference>();
  for (const { resource, name, optional } of named) {
    if (name !== undefined && optional !== true)
      distinct.set(`${resource.plural}/${name}`, { resource, name });
  }
  return [...distinct.values()];
}

/** Refuses what could not start: a missing object would only be waited for. Throws `NotFound` naming the first. */
export async function checkReferences(
  client: KubeClient,
  namespace: string,
  spec: FunctionSpec,
): Promise<void> {
  await Promise.all(
    references(spec).map(async ({ resource, name }) => {
      try {
        await client.get(resource, namespace, name);
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 404) throw error;
        const kind = resource.kind.toLowerCase();
        throw new PetrelError(
          'NotFound',
          `there is no ${resource.kind} "${name}" in namespace ${namespace}`,
          {
            why: 'the function names it, and no instance can start without it',
            fix: `make it first (kubectl create ${kind}${kind === 'secret' ? ' generic' : ''} ${name} …), or deploy with --no-wait and make it afterwards`,
            cause: error,
          },
        );
      }
    }),
  );
}
