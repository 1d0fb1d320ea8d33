/** How commands find the running platform and speak to its API. */

import { PetrelError } from '../base/errors.ts';
import { request } from '../base/http.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeTransport } from '../kube/transport.ts';
import type { HomePaths, PlatformRecord } from '../platform/home.ts';

/** A running platform and its API. */
export interface Session {
  record: PlatformRecord;
  client: KubeClient;
  transport: KubeTransport;
}

/** How long the platform may take to say that it runs, milliseconds. A process that does not is stuck. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * What the platform of this home says about itself, or undefined when none runs. A record left by a process that was
 * killed does not count: only who listens on the socket runs. Throws `NotReady` when it listens and does not answer.
 */
export async function findPlatform(home: HomePaths): Promise<PlatformRecord | undefined> {
  const answer = await ask(home, 'GET', '/status', ANSWER_LIMIT_MS);
  return answer === undefined ? undefined : (JSON.parse(answer) as PlatformRecord);
}

/** Asks the platform to stop, letting requests in flight end when `graceMs` is absent. */
export async function requestShutdown(home: HomePaths, graceMs: number | undefined): Promise<void> {
  await ask(
    home,
    'POST',
    graceMs === undefined ? '/shutdown' : `/shutdown?graceMs=${graceMs}`,
    ANSWER_LIMIT_MS,
  );
}

/** No socket, nobody behind it, or it ended while it was asked; a home that is no folder is told when it is to be used. */
const NOBODY_THERE = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'ECONNRESET']);

function ask(home: HomePaths, method: string, path: string, limitMs: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const signal = AbortSignal.timeout(limitMs);
  const outgoing = request({ socketPath: home.socket, method, path, agent: false, signal }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => resolve(text));
    response.on('error', reject);
  });
  outgoing.on('error', (error: NodeJS.ErrnoException) => {
    if (NOBODY_THERE.has(error.code ?? '')) return resolve(undefined);
    if (error.code === 'EACCES') {
      const fix = 'run the command as the owner of that home, or choose another one with --home';
      return reject(
        new PetrelError('Unauthorized', `this user may not use the home ${home.dir}`, {
          why: `no permission for ${home.socket}`,
          fix,
          cause: error,
        }),
      );
    }
    if (!signal.aborted) return reject(error);
    reject(
      new PetrelError('NotReady', `the platform of ${home.dir} does not answer`, {
        why: `it listens on ${home.socket}, but said nothing for ${limitMs / 1000} s`,
        fix: `see ${home.platformLog}; petrel down --now ends it`,
      }),
    );
  });
  outgoing.end();
  return promise;
}

/** The running platform with a client of its API. Throws `PlatformNotRunning`. */
export async function connect(home: HomePaths): Promise<Session> {
  const record = await findPlatform(home);
  if (!record) {
    throw new PetrelError('PlatformNotRunning', `no platform runs on ${home.dir}`, {
      fix: 'petrel up --detach starts it; petrel deploy does, too',
    });
  }
  return openSession(record);
}

/** A client of the API that a platform serves or uses. */
export async function openSession(record: PlatformRecord): Promise<Session> {
  const [{ httpsTransport }, { loadKubeconfig }, { createClient }] = await Promise.all([
    import('../kube/https.ts'),
    import('../kube/kubeconfig.ts'),
    import('../kube/rest.ts'),
  ]);
  const transport = httpsTransport(await loadKubeconfig(record.kubeconfig));
  return { record, client: createClient(transport), transport };
}

/** Runs `work` in a session and closes it; failures of the API become errors of the command. */
export async function withSession<T>(home: HomePaths, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await connect(home);
  try {
    return await work(session);
  } catch (error) {
    throw apiError(error);
  } finally {
    session.transport.close();
  }
}

/** A connection to an API that was there a moment ago. */
const GONE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** What a command says about an answer of the API that is no success. */
export function apiError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name !== 'KubeError') {
    if (!GONE.has((error as NodeJS.ErrnoException).code ?? '')) return error;
    return new PetrelError('PlatformNotRunning', 'the platform ended while the command was at work', {
      why: `its API does not answer any more (${(error as NodeJS.ErrnoException).code})`,
      fix: 'petrel up --detach, then run the command again',
      cause: error,
    });
  }
  const { code, reason, message: whole } = error as Error & { code: number; reason: string };
  // Who refused it is the API's business; what is wrong with it comes after.
  const message = whole.replace(/^admission webhook "[^"]*" denied the request: (validation failed: )?/, '');
  const as = (
    name: 'NotFound' | 'Conflict' | 'Unauthorized' | 'InvalidArgument' | 'ApiError' | 'DiskFull',
    fix: string,
  ) => new PetrelError(name, message, { why: `the API answered ${code} ${reason}`, fix, cause: error });
  const namespace = code === 404 ? /^namespaces "([^"]+)" not found/.exec(message)?.[1] : undefined;
  if (namespace !== undefined)
    return as(
      'NotFound',
      `make it: KUBECONFIG=$(petrel kubeconfig) kubectl create namespace ${namespace}, or choose another with -n`,
    );
  if (code === 404) return as('NotFound', 'petrel list -A shows what there is');
  if (code === 409) return as('Conflict', 'run the command again');
  if (code === 401 || code === 403)
    return as('Unauthorized', 'use the kubeconfig of this platform: petrel kubeconfig');
  if (code === 400 || code === 422) return as('InvalidArgument', 'correct the value that the message names');
  if (code === 507) return as('DiskFull', 'free some space on the disk of the home directory');
  return as('ApiError', 'petrel status shows whether the platform is well');
}
