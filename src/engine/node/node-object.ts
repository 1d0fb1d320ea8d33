/** The Node object by which this machine takes part in the cluster. */
import { arch, availableParallelism, hostname, type as osType, platform, release, totalmem } from 'node:os';
import { timestamp } from '../../base/clock.ts';
import { POD_NETWORK_LABEL, ZONE_LABEL } from '../../kinds/node.ts';
import type { Condition, Json, KubeObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { NODES } from '../../kube/refs.ts';

/** Containers are processes and share the machine; this bounds what the scheduler places, not what it can carry. */
const MAX_PODS = 1000;
const ARCHITECTURES: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

export interface NodeDescription {
  name: string;
  /** Address at which pods and the log server answer. */
  address: string;
  logPort: number;
  /** What it fails together with; see `ZONE_LABEL`. */
  zone?: string;
  /** Version reported as kubelet's. */
  version: string;
}

function capacity(): Record<string, string> {
  return {
    cpu: String(availableParallelism()),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: String(MAX_PODS),
    'ephemeral-storage': '0',
  };
}

function conditions(ready: boolean, now: number): Condition[] {
  const time = timestamp(now);
  const condition = (type: string, status: 'True' | 'False', reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  });
  return [
    condition(
      'MemoryPressure',
      'False',
      'KubeletHasSufficientMemory',
      'the node agent has sufficient memory available',
    ),
    condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'the node agent has no disk pressure'),
    condition(
      'PIDPressure',
      'False',
      'KubeletHasSufficientPID',
      'the node agent has sufficient PID available',
    ),
    ready
      ? condition('Ready', 'True', 'KubeletReady', 'the node agent is posting ready status')
      : condition('Ready', 'False', 'NodeAgentStopped', 'the node agent has stopped'),
  ];
}

/** Creates the Node or brings it up to date, Ready. */
export async function registerNode(client: KubeClient, node: NodeDescription, now: number): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': node.name,
    'kubernetes.io/os': platform() === 'win32' ? 'windows' : platform(),
    'kubernetes.io/arch': ARCHITECTURES[arch()] ?? arch(),
    'node-role.kubernetes.io/control-plane': '',
    [POD_NETWORK_LABEL]: 'host',
    ...(node.zone && { [ZONE_LABEL]: node.zone }),
  };
  const object: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: node.name, labels } };
  try {
    await client.create(NODES, object);
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 409)) throw error;
    // Of an earlier start, perhaps of a version that said less about itself.
    await client.patch(NODES, undefined, node.name, 'merge', { metadata: { labels } });
  }
  const resources = capacity();
  const status = {
    capacity: resources,
    allocatable: resources,
    conditions: conditions(true, now),
    addresses: [
      { type: 'InternalIP', address: node.address },
      { type: 'Hostname', address: hostname() },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: node.logPort } },
    nodeInfo: {
      machineID: '',
      systemUUID: '',
      bootID: '',
      kernelVersion: release(),
      osImage: osType(),
      containerRuntimeVersion: 'process://1.0',
      kubeletVersion: node.version,
      kubeProxyVersion: '',
      operatingSystem: platform(),
      architecture: ARCHITECTURES[arch()] ?? arch(),
    },
  };
  await client.patch(NODES, undefined, node.name, 'merge', { status } as unknown as Json, {
    subresource: 'status',
  });
}

/** Says that nothing runs here any more. */
export async function unregisterNode(client: KubeClient, name: string, now: number): Promise<void> {
  const status = { conditions: conditions(false, now) };
  await client.patch(NODES, undefined, name, 'merge', { status } as unknown as Json, {
    subresource: 'status',
  });
}
