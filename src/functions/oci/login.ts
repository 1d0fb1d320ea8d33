/** Names and passwords for registries, as `docker login` leaves them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `user:password` for a registry from Docker's configuration; undefined when there is none, or a helper keeps it. */
export async function loginFor(host: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const dir = env.DOCKER_CONFIG ?? join(env.HOME ?? '/', '.docker');
  const text = await readFile(join(dir, 'config.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { auths = {} } = JSON.parse(text) as { auths?: Record<string, { auth?: string }> };
    const names =
      host === 'registry-1.docker.io'
        ? ['https://index.docker.io/v1/', 'docker.io']
        : [host, `https://${host}`];
    const found = names.map((name) => auths[name]?.auth).find((auth) => auth);
    return found === undefined ? undefined : Buffer.from(found, 'base64').toString('utf8');
  } catch {
    return undefined;
  }
}
