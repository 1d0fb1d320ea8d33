/** The token with which the API server may read container logs here: a Secret that both find by name. */
import { randomBytes } from 'node:crypto';
import type { KubeObject } from '../../kinds/object.ts';
import type { Secret } from '../../kinds/pod.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { NAMESPACES, SECRETS } from '../../kube/refs.ts';

const NAMESPACE = 'kube-system';

const isCode = (error: unknown, code: number) => error instanceof KubeError && error.code === code;

/** The token kept from an earlier start, or a new one. */
export async function logToken(client: KubeClient, nodeName: string): Promise<string> {
  const name = `node-agent-${nodeName}`;
  try {
    const kept = (await client.get<Secret>(SECRETS, NAMESPACE, name)).data?.token;
    if (kept) return Buffer.from(kept, 'base64').toString('utf8');
  } catch (error) {
    if (!isCode(error, 404)) throw error;
  }
  const token = randomBytes(32).toString('base64url');
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    type: 'Opaque',
    data: { token: Buffer.from(token).toString('base64') },
  };
  try {
    await client.create(SECRETS, secret);
  } catch (error) {
    if (!isCode(error, 404)) throw error;
    const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
    await client.create(NAMESPACES, namespace).catch((failure) => {
      if (!isCode(failure, 409)) throw failure;
    });
    await client.create(SECRETS, secret);
  }
  return token;
}
