/** What Pods use, asked of the agents of their nodes. Only nodes with an agent of our own answer. */
import { get } from '../base/http.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Secret } from '../kinds/pod.ts';
import type { KubeClient } from './client.ts';
import { NODES, SECRETS } from './refs.ts';

/** Counters at `time` (RFC 3339). Source: k8s.io/kubelet `stats/v1alpha1`, the part that is served. */
export interface UsageStats {
  /** Processor time since the start, all cores. */
  cpu: { time: string; usageCoreNanoSeconds: number };
  memory: { time: string; workingSetBytes: number };
}

/** The answer of a node's agent to `GET /stats/summary`. Pods without a running container are left out. */
export interface StatsSummary {
  node: { nodeName: string };
  pods: (UsageStats & {
    podRef: { name: string; namespace: string; uid: string };
    containers: (UsageStats & { name: string; startTime: string })[];
  })[];
}

interface NodeWithAgent extends KubeObject {
  status?: {
    addresses?: { type: string; address: string }[];
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } };
  };
}

const TIMEOUT_MS = 2000;
/** A summary of a thousand Pods is about 400 KB. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface NodeStatsReader {
  /** Asks all agents. A node that does not answer is left out: whoever decides by usage must bear that some is unknown. */
  read(): Promise<StatsSummary[]>;
}

/** Addresses and tokens are asked for once and kept until an agent does not answer with them. */
export function createNodeStatsReader(client: KubeClient): NodeStatsReader {
  let known: Agent[] | undefined;
  return {
    async read() {
      known ??= await findAgents(client);
      const answers = await Promise.all(known.map((agent) => ask(agent).catch(() => undefined)));
      const found = answers.filter((answer) => answer !== undefined);
      if (found.length < known.length || known.length === 0) known = undefined;
      return found;
    },
  };
}

interface Agent {
  host: string;
  port: number;
  token: string;
}

async function findAgents(client: KubeClient): Promise<Agent[]> {
  const { items } = await client.list<NodeWithAgent>(NODES);
  const agents = await Promise.all(
    items.map(async ({ metadata, status }) => {
      const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
      const host = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
      if (!port || !host) return undefined;
      const secret = await client
        .get<Secret>(SECRETS, 'kube-system', `node-agent-${metadata.name}`)
        .catch(() => undefined);
      const token = secret?.data?.token;
      return token ? { host, port, token: Buffer.from(token, 'base64').toString() } : undefined;
    }),
  );
  return agents.filter((agent) => agent !== undefined);
}

function ask({ host, port, token }: Agent): Promise<StatsSummary> {
  return new Promise((resolve, reject) => {
    const options = { host, port, path: '/stats/summary', agent: false, timeout: TIMEOUT_MS };
    const request = get({ ...options, headers: { authorization: `Bearer ${token}` } }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BYTES) request.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()) as StatsSummary);
        } catch (error) {
          reject(error as Error);
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}
