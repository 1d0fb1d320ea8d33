/** Who one is to a registry: by Secrets of the type `kubernetes.io/dockerconfigjson`, else as the platform's user is logged in. */
import { loginFor, loginIn } from '../base/oci/login.ts';
import type { Secret } from '../kinds/pod.ts';
import { type KubeClient, orUndefined } from './client.ts';
import { SECRETS } from './refs.ts';

/** `user:password` for `host`; undefined: nobody has one. A Secret that is not there is passed over, as by kubelet: the image may be for everybody. */
export async function registryLogin(
  client: KubeClient,
  namespace: string,
  secrets: readonly string[],
  host: string,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  for (const name of secrets) {
    const secret = await orUndefined(client.get<Secret>(SECRETS, namespace, name));
    const text = Buffer.from(secret?.data?.['.dockerconfigjson'] ?? '', 'base64').toString('utf8');
    const found = loginIn(text, host);
    if (found !== undefined) return found;
  }
  return loginFor(host, env);
}
