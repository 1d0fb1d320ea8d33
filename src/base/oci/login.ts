/** Names and passwords for registries, as `docker login` and Secrets of the type `kubernetes.io/dockerconfigjson` have them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `user:password` for a registry from Docker's configuration; undefined when there is none, or a helper keeps it. */
export async function loginFor(host: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const dir = env.DOCKER_CONFIG ?? join(env.HOME ?? '/', '.docker');
  const text = await readFile(join(dir, 'config.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : loginIn(text, host);
}

/** The same from the text of such a configuration; undefined, too, for one that cannot be read. */
export function loginIn(text: string, host: string): string | undefined {
  try {
    const { auths = {} } = JSON.parse(text) as {
      auths?: Record<string, { auth?: string; username?: string; password?: string }>;
    };
    const names =
      host === 'registry-1.docker.io'
        ? ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io']
        : [host, `https://${host}`, `http://${host}`];
    for (const name of names) {
      const { auth, username, password } = auths[name] ?? {};
      if (auth) return Buffer.from(auth, 'base64').toString('utf8');
      if (username !== undefined && password !== undefined) return `${username}:${password}`;
    }
  } catch {
    // Neither the one nor the other is of use.
  }
  return undefined;
}
