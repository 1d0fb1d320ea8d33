/** Functions on an API in memory with a fake node: the whole room, real sockets, nothing else. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, silentLogger } from '../../base/log.ts';
import { CODE_ANNOTATIONS, type Digest } from '../../kinds/function.ts';
import type { Container, Pod } from '../../kinds/pod.ts';
import type { Revision, RevisionSpec } from '../../kinds/serving.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi } from '../../kube/testing.ts';
import { createFunctions, type FunctionsOptions } from '../index.ts';
import { createPackageStore } from '../packages/store.ts';
import { chunks, rawTar } from './archives.ts';
import { startFakeNode } from './fake-node.ts';

/** Waits until `probe` yields something true; fails after ten seconds. */
export async function until<T>(
  probe: () => T | Promise<T>,
  what = probe.toString(),
): Promise<Exclude<T, false | undefined | null>> {
  for (let waited = 0; waited < 10_000; waited += 5) {
    const found = await probe();
    if (found) return found as Exclude<T, false | undefined | null>;
    await sleep(5);
  }
  throw new Error(`did not happen: ${what}`);
}

const RUNTIME = `apiVersion: petrel.dev/v1
kind: Runtime
metadata: {name: node}
spec:
  language: node
  extensions: [.js]
  command: ["$(NODE)", "$(RUNTIME_DIR)/main.js"]
  pool: {min: 2, max: 8}
`;

let names = 0;

/** A revision as serving makes them. */
export function revisionOf(
  digest: Digest,
  container: Partial<Container> = {},
  spec: Partial<RevisionSpec> = {},
): Revision {
  const service = `fn-${++names}`;
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: `${service}-00001`,
      namespace: 'default',
      uid: `revision-uid-${names}`,
      labels: { 'serving.knative.dev/service': service, 'serving.knative.dev/configuration': service },
      annotations: {
        [CODE_ANNOTATIONS.package]: digest,
        [CODE_ANNOTATIONS.runtime]: 'node',
        [CODE_ANNOTATIONS.entry]: 'hello.js',
      },
    },
    spec: {
      containers: [{ name: 'user-container', image: 'petrel.dev/runtime/node', ...container }],
      ...spec,
    },
  };
}

/** `runtime`: further lines of the spec of the Runtime, YAML. */
export async function createWorld(
  t: TestContext,
  { runtime = '', ...options }: Partial<FunctionsOptions> & { runtime?: string } = {},
) {
  const dir = await mkdtemp(join(tmpdir(), 'petrel-test-'));
  const runtimesDir = join(dir, 'runtimes');
  await mkdir(join(runtimesDir, 'node'), { recursive: true });
  await writeFile(join(runtimesDir, 'node', 'runtime.yaml'), RUNTIME + runtime);
  const api = createFakeApi();
  const client = createClient(api);
  const packages = createPackageStore({ dir: join(dir, 'packages') });
  const { digest } = await packages.put(chunks(rawTar([{ name: 'hello.js', body: 'export default 1' }])));
  const node = startFakeNode(client, dir);
  const log = process.env.PETREL_TEST_LOG
    ? createLogger('debug', (line) => void process.stderr.write(line))
    : silentLogger;
  const make = () =>
    createFunctions({
      client,
      packages,
      runDir: dir,
      gatewayUrl: 'http://127.0.0.1:8080',
      runtimesDir,
      node: process.execPath,
      cacheDir: join(dir, 'cache'),
      log,
      ...options,
    });
  const functions = make();
  t.after(async () => {
    await functions.stop();
    node.close();
    api.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  const pods = () => api.objects('pods') as unknown as Pod[];
  const idle = () => [...node.instances.values()].filter((instance) => instance.state === 'generic');
  return { dir, api, client, packages, digest, node, functions, make, pods, idle };
}

export const never = (): AbortSignal => new AbortController().signal;
