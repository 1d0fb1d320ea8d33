/** Functions on the embedded engine: real API server, node agent, scheduler and runtime; only the gateway is missing. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../base/log.ts';
import { startApiServer } from '../engine/apiserver/serve.ts';
import { createNodeAgent } from '../engine/node/index.ts';
import { createScheduler } from '../engine/scheduler/index.ts';
import type { Pod } from '../kinds/pod.ts';
import { PODS } from '../kube/refs.ts';
import { createClient } from '../kube/rest.ts';
import { InstanceError } from '../serving/contract.ts';
import { createFunctions } from './index.ts';
import { packDirectory } from './pack.ts';
import { createPackageStore } from './packages/store.ts';
import { never, revisionOf, until } from './testing/world.ts';

const RUNTIMES = fileURLToPath(new URL('../../runtimes', import.meta.url));

async function start(t: TestContext) {
  const home = await mkdtemp(join(tmpdir(), 'petrel-test-'));
  const log = silentLogger;
  const api = await startApiServer({ home, host: '127.0.0.1', port: 0, log, version: 'test' });
  const client = (name: string) => createClient(api.transport(name));
  const common = { runDir: join(home, 'run'), runtimesDir: RUNTIMES, node: process.execPath, log };
  const agent = createNodeAgent({
    ...common,
    client: client('agent'),
    nodeName: 'here',
    home,
    version: 'test',
  });
  const scheduler = createScheduler({ client: client('scheduler'), log });
  const packages = createPackageStore({ dir: join(home, 'packages') });
  const functions = createFunctions({
    ...common,
    client: client('functions'),
    packages,
    cacheDir: join(home, 'cache'),
  });
  t.after(async () => {
    await functions.stop();
    await scheduler.stop();
    await agent.stop();
    await api.close();
    await rm(home, { recursive: true, force: true, maxRetries: 10 });
  });
  scheduler.start();
  await agent.start();
  await functions.start();
  const store = async (name: string, text: string) => {
    await writeFile(join(home, name), text);
    const packed = await packDirectory(join(home, name));
    return (await packages.put(packed.stream(), { digest: packed.digest, bytes: packed.bytes })).digest;
  };
  return { home, client: client('test'), functions, source: functions.source, store };
}

test('a real instance is specialised, answers, and is released', async (t) => {
  const { source, store, client } = await start(t);
  const digest = await store(
    'hello.js',
    'module.exports = async () => ({ status: 200, body: process.env.WHO });\n',
  );
  const revision = revisionOf(digest, { env: [{ name: 'WHO', value: 'me' }] });
  const seen: string[] = [];
  source.onEvent({ down: (_, id) => seen.push(`down ${id}`), up: (_, { id }) => seen.push(`up ${id}`) });

  const instance = await source.acquire(revision, never());
  assert.equal(instance.address.kind, 'mux');
  const pod = () => client.get<Pod>(PODS, instance.namespace, instance.podName);
  await until(async () => (await pod()).metadata.labels?.['petrel.dev/pool'] === 'specialised');

  await source.suspect(instance.id);
  assert.deepEqual(seen, []);

  await source.release(revision, instance.id, 1000);
  await until(
    () =>
      pod().then(
        () => false,
        () => true,
      ),
    'the Pod is gone',
  );
});

test('load errors arrive from the real runtime with file and line', async (t) => {
  const { source, store } = await start(t);
  const revision = revisionOf(await store('hello.js', 'const a = 1;\nmodule.exports = {{;\n'));
  await assert.rejects(source.acquire(revision, never()), (error) => {
    assert.ok(error instanceof InstanceError);
    assert.equal(error.failure.reason, 'load_error');
    assert.match(error.failure.message, /hello\.js:2/);
    assert.match(error.failure.message, /SyntaxError/);
    return true;
  });
});

test('an instance that user code breaks says why and comes back specialised', async (t) => {
  const { source, store } = await start(t);
  const code =
    "setTimeout(() => { throw new Error('boom'); }, 200);\nmodule.exports = async () => ({ status: 200 });\n";
  const revision = revisionOf(await store('hello.js', code));
  const seen: string[] = [];
  source.onEvent({
    down: (_, id, reason) => seen.push(`down ${id} ${reason}`),
    up: (_, { id }) => seen.push(`up ${id}`),
  });
  const instance = await source.acquire(revision, never());
  await until(() => seen.length >= 2, 'it crashed and came back');
  assert.match(seen[0] as string, new RegExp(`^down ${instance.id} .*boom`, 's'));
  assert.equal(seen[1], `up ${instance.id}`);
});
