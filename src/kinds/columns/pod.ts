/** What `kubectl get pods` prints. Source: kubernetes `pkg/printers/internalversion.printPod`. */
import { since } from '../human.ts';
import type { UntypedObject } from '../object.ts';
import type { Container, ContainerStatus, Pod, PodSpec } from '../pod.ts';
import type { PrinterColumn } from '../resource.ts';
import { AGE, column, NAME, orNone } from './common.ts';

interface Summary {
  ready: number;
  total: number;
  status: string;
  restarts: number;
  /** RFC 3339, empty when no container has restarted. */
  lastRestart: string;
}

/** A PodSpec with the fields that only printing reads. */
type PrintedSpec = PodSpec & { readinessGates?: { conditionType: string }[] };
type InitContainer = Container & { restartPolicy?: string };

const later = (a: string, b: string | undefined): string => (b !== undefined && b > a ? b : a);
const lastFinish = (status: ContainerStatus): string | undefined => status.lastState?.terminated?.finishedAt;
const conditionTrue = (pod: Pod, type: string): boolean =>
  pod.status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false;

/** Why a terminated container ended, when it left no reason: its signal or exit code. */
function ending(terminated: { exitCode: number; signal?: number; reason?: string }): string {
  if (terminated.reason) return terminated.reason;
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

/** What an init container that is not done contributes to the status. */
function initReason(status: ContainerStatus, index: number, count: number): string {
  const { terminated, waiting } = status.state ?? {};
  if (terminated) return `Init:${ending(terminated)}`;
  if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`;
  return `Init:${index}/${count}`;
}

function summarise(pod: Pod): Summary {
  const spec: PrintedSpec = pod.spec ?? { containers: [] };
  const status = pod.status ?? {};
  const initContainers: InitContainer[] = spec.initContainers ?? [];
  const sidecars = new Set(initContainers.filter((c) => c.restartPolicy === 'Always').map((c) => c.name));
  const result: Summary = {
    ready: 0,
    total: (spec.containers ?? []).length + sidecars.size,
    status: status.reason || status.phase || '',
    restarts: 0,
    lastRestart: '',
  };
  if (status.conditions?.some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated')) {
    result.status = 'SchedulingGated';
  }

  let initializing = false;
  let sidecarRestarts = 0;
  let sidecarLastRestart = '';
  for (const [index, container] of (status.initContainerStatuses ?? []).entries()) {
    const sidecar = sidecars.has(container.name);
    result.restarts += container.restartCount ?? 0;
    result.lastRestart = later(result.lastRestart, lastFinish(container));
    if (sidecar) {
      sidecarRestarts += container.restartCount ?? 0;
      sidecarLastRestart = later(sidecarLastRestart, lastFinish(container));
    }
    if (container.state?.terminated?.exitCode === 0) continue;
    if (sidecar && container.started) {
      if (container.ready) result.ready++;
      continue;
    }
    result.status = initReason(container, index, initContainers.length);
    initializing = true;
    break;
  }

  if (!initializing || conditionTrue(pod, 'Initialized')) {
    result.restarts = sidecarRestarts;
    result.lastRestart = sidecarLastRestart;
    let running = false;
    for (const container of [...(status.containerStatuses ?? [])].reverse()) {
      result.restarts += container.restartCount ?? 0;
      result.lastRestart = later(result.lastRestart, lastFinish(container));
      if (container.state?.waiting?.reason) result.status = container.state.waiting.reason;
      else if (container.state?.terminated) result.status = ending(container.state.terminated);
      else if (container.ready && container.state?.running) {
        running = true;
        result.ready++;
      }
    }
    if (result.status === 'Completed' && running) {
      result.status = conditionTrue(pod, 'Ready') ? 'Running' : 'NotReady';
    }
  }

  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status.reason === 'NodeLost') result.status = 'Unknown';
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') result.status = 'Terminating';
  }
  return result;
}

function readinessGates(pod: Pod): string {
  const gates = (pod.spec as PrintedSpec | undefined)?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  return `${gates.filter((g) => conditionTrue(pod, g.conditionType)).length}/${gates.length}`;
}

const of = <T>(get: (summary: Summary, now: number) => T) => {
  return (object: UntypedObject, now: number): T => get(summarise(object as unknown as Pod), now);
};

export const POD_COLUMNS: PrinterColumn[] = [
  NAME,
  column(
    'Ready',
    'string',
    of((s) => `${s.ready}/${s.total}`),
  ),
  column(
    'Status',
    'string',
    of((s) => s.status),
  ),
  column(
    'Restarts',
    'string',
    of((s, now) =>
      s.restarts > 0 && s.lastRestart !== ''
        ? `${s.restarts} (${since(s.lastRestart, now)} ago)`
        : `${s.restarts}`,
    ),
  ),
  AGE,
  column('IP', 'string', (o) => orNone(o.status?.podIPs?.[0]?.ip ?? o.status?.podIP), true),
  column('Node', 'string', (o) => orNone(o.spec?.nodeName), true),
  column('Nominated Node', 'string', (o) => orNone(o.status?.nominatedNodeName), true),
  column('Readiness Gates', 'string', (o) => readinessGates(o as unknown as Pod), true),
];
