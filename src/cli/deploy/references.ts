/** The Secrets and ConfigMaps that a Function names. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';

interface Reference {
  resource: ResourceRef;
  name: string;
  /** What does not work without it. */
  need: string;
}

const TO_START = 'no instance can start without it';
const TO_BE_CALLED = 'nobody is let in without it';

/** What must exist before an instance can start, or before anybody may call it; what is optional is left out. */
export function references(spec: FunctionSpec): Reference[] {
  const named: { resource: ResourceRef; name?: string; optional?: boolean; need?: string }[] = [];
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
  const { apiKey, jwt, hmac } = spec.access?.auth ?? {};
  for (const way of [apiKey, jwt, hmac])
    named.push({ resource: SECRETS, name: way?.secret, need: TO_BE_CALLED });
  const distinct = new Map<string, Reference>();
  for (const { resource, name, optional, need = TO_START } of named) {
    const key = `${resource.plural}/${name}`;
    if (name !== undefined && optional !== true && !distinct.has(key))
      distinct.set(key, { resource, name, need });
  }
  return [...distinct.values()];
}

/** Refuses what could not start or be called: a missing object would only be waited for. Throws `NotFound` naming the first. */
export async function checkReferences(
  client: KubeClient,
  namespace: string,
  spec: FunctionSpec,
): Promise<void> {
  await Promise.all(
    references(spec).map(async ({ resource, name, need }) => {
      try {
        await client.get(resource, namespace, name);
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 404) throw error;
        const kind = resource.kind.toLowerCase();
        throw new PetrelError(
          'NotFound',
          `there is no ${resource.kind} "${name}" in namespace ${namespace}`,
          {
            why: `the function names it, and ${need}`,
            fix: `make it first (kubectl create ${kind}${kind === 'secret' ? ' generic' : ''} ${name} …), or deploy with --no-wait and make it afterwards`,
            cause: error,
          },
        );
      }
    }),
  );
}
