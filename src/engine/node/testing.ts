/** A whole small cluster in this process for tests: API server, scheduler, node agent with real processes. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { silentLogger } from '../../base/log.ts';
import { HOST_IMAGE } from '../../kinds/function.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Container, Pod, PodSpec } from '../../kinds/pod.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { PODS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { inProcessTransport } from '../apiserver/in-process.ts';
import { ADMIN, createTestApi } from '../apiserver/testing.ts';
import { createScheduler } from '../scheduler/index.ts';
import { createNodeAgent, type NodeAgentOptions } from './agent.ts';

export interface TestCluster {
  client: KubeClient;
  home: string;
  runDir: string;
  runtimesDir: string;
  /** Creates a Pod of host commands in namespace `default`. */
  run(
    name: string,
    spec: Omit<Partial<PodSpec>, 'containers'> & { containers: Partial<Container>[] },
    metadata?: object,
  ): Promise<Pod>;
  /** Resolves with the Pod as soon as `matches` holds for it; fails after 20 s with the last state seen. */
  until(name: string, matches: (pod: Pod) => boolean): Promise<Pod>;
  /** Resolves when there is no such Pod. */
  untilGone(name: string): Promise<void>;
  /** Log of a container through the agent's own HTTP server. */
  log(pod: string, container: string, query?: string): Promise<{ status: number; text: string }>;
  /** Resolves when the log is `text`: what a program has said is on its way for a moment. Fails with what it is instead. */
  says(pod: string, container: string, text: string, query?: string): Promise<void>;
  /** A streaming read of the same. */
  openLog(pod: string, container: string, query: string): Promise<Response>;
  restartAgent(change?: Partial<NodeAgentOptions>): Promise<void>;
  close(): Promise<void>;
}

const NODE_NAME = 'here';
const PATIENCE_MS = 20_000;

/** Starts it; call `close` at the end. `sandbox: 'plain'` keeps namespaces out of a test that is not about them. */
export async function createTestCluster(options: Partial<NodeAgentOptions> = {}): Promise<TestCluster> {
  const base = mkdtempSync(join(tmpdir(), 'petrel-node-'));
  const home = join(base, 'home');
  const runDir = join(base, 'run');
  const runtimesDir = join(base, 'runtimes');
  for (const dir of [home, runDir, runtimesDir]) mkdirSync(dir);
  const api = await createTestApi();
  const client = createClient(inProcessTransport(api.server, ADMIN));
  const create = (change: Partial<NodeAgentOptions> = {}) =>
    createNodeAgent({
      client,
      nodeName: NODE_NAME,
      home,
      runDir,
      node: process.execPath,
      runtimesDir,
      log: silentLogger,
      visible: [dirname(process.execPath)],
      ...options,
      ...change,
    });
  let agent = create();
  const scheduler = createScheduler({ client, log: silentLogger });
  scheduler.start();
  await agent.start();

  const get = async (name: string) => {
    try {
      return await client.get<Pod>(PODS, 'default', name);
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined;
      throw error;
    }
  };
  const wait = async (name: string, matches: (pod: Pod | undefined) => boolean): Promise<Pod | undefined> => {
    const { resourceVersion } = await client.list(PODS, { namespace: 'default' });
    const now = await get(name);
    if (matches(now)) return now;
    let last = now;
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const fieldSelector = `metadata.name=${name}`;
    try {
      for await (const event of client.watch<Pod>(PODS, {
        namespace: 'default',
        fieldSelector,
        resourceVersion,
        signal,
      })) {
        if (event.type === 'ERROR') break;
        last = event.type === 'DELETED' ? undefined : event.object;
        if (matches(last)) return last;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    throw new Error(
      `Pod ${name} did not come to the state expected; it is ${JSON.stringify(last?.status ?? 'gone', null, 1)}`,
    );
  };
  const openLog = async (pod: string, container: string, query: string) => {
    const node = await client.get<
      KubeObject & { status: { daemonEndpoints: { kubeletEndpoint: { Port: number } } } }
    >({ group: '', version: 'v1', kind: 'Node', plural: 'nodes', namespaced: false }, undefined, NODE_NAME);
    const secret = await client.get<KubeObject & { data: { token: string } }>(
      { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true },
      'kube-system',
      `node-agent-${NODE_NAME}`,
    );
    const { Port } = node.status.daemonEndpoints.kubeletEndpoint;
    const authorization = `Bearer ${Buffer.from(secret.data.token, 'base64').toString()}`;
    return fetch(`http://127.0.0.1:${Port}/containerLogs/default/${pod}/${container}?${query}`, {
      headers: { authorization },
    });
  };

  return {
    client,
    home,
    runDir,
    runtimesDir,
    async run(name, spec, metadata = {}) {
      const containers = spec.containers.map((given) => ({ ...{ name: 'c', image: HOST_IMAGE }, ...given }));
      const pod: Pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default', ...metadata },
        spec: { ...spec, containers },
      };
      return client.create<Pod>(PODS, pod);
    },
    async until(name, matches) {
      return (await wait(name, (pod) => pod !== undefined && matches(pod)))!;
    },
    async untilGone(name) {
      await wait(name, (pod) => pod === undefined);
    },
    openLog,
    async log(pod, container, query = '') {
      const response = await openLog(pod, container, query);
      return { status: response.status, text: await response.text() };
    },
    async says(pod, container, text, query = '') {
      for (const deadline = Date.now() + PATIENCE_MS; ; ) {
        const said = await (await openLog(pod, container, query)).text();
        if (said === text) return;
        if (Date.now() > deadline) assert.equal(said, text);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async restartAgent(change) {
      await agent.stop();
      agent = create(change);
      await agent.start();
    },
    async close() {
      scheduler.stop();
      await agent.stop(0);
      await api.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}
