/** What the status of a Pod says. Pure. Rules: kubelet (`kubelet_pods.getPhase`, `status/generate.go`). */
import { timestamp } from '../../base/clock.ts';
import { launchKey } from '../../kinds/in-place.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus } from '../../kinds/pod.ts';
import { updateConditions } from './in-place.ts';
import {
  type ContainerRecord,
  hasPassed,
  isSidecar,
  newRecord,
  type Records,
  recordOf,
  type Terminated,
} from './lifecycle.ts';

function terminatedState(end: Terminated, containerID?: string): NonNullable<ContainerState['terminated']> {
  const { exitCode, reason, message, startedAt, finishedAt } = end;
  const times = { startedAt: timestamp(startedAt), finishedAt: timestamp(finishedAt) };
  return {
    exitCode,
    reason,
    ...(message ? { message } : {}),
    ...times,
    ...(containerID ? { containerID } : {}),
  };
}

function stateOf(record: ContainerRecord, blocked: boolean): ContainerState {
  const { state } = record;
  if (blocked) return { waiting: { reason: 'PodInitializing' } };
  if (state.kind === 'starting') return { waiting: { reason: 'ContainerCreating' } };
  if (state.kind === 'running') return { running: { startedAt: timestamp(state.startedAt) } };
  if (state.kind === 'terminated') return { terminated: terminatedState(state, record.containerID) };
  return { waiting: { reason: state.reason, ...(state.message ? { message: state.message } : {}) } };
}

function containerStatus(
  container: Container,
  record: ContainerRecord,
  blocked: boolean,
  init: boolean,
): ContainerStatus {
  return {
    name: container.name,
    state: stateOf(record, blocked),
    lastState: record.last ? { terminated: terminatedState(record.last) } : {},
    ready: record.ready || (init && record.state.kind === 'terminated' && record.state.exitCode === 0),
    started: record.started,
    restartCount: record.restarts,
    image: container.image ?? '',
    // Of what runs, not of what is to come.
    imageID: record.key === launchKey(container) ? (record.imageID ?? '') : '',
    ...(record.containerID ? { containerID: record.containerID } : {}),
  };
}

export interface StatusFacts {
  hostIP: string;
  podIP: string;
  /** Conditions the agent adds about the machine; the transition time is filled in. */
  machine: Condition[];
  /** The Pod is being deleted or was stopped: it never runs again. */
  terminating: boolean;
  /** When the agent first saw the Pod. */
  startedAt: number;
}

function phaseOf(pod: Pod, records: Records, terminating: boolean): NonNullable<PodStatus['phase']> {
  const policy = pod.spec.restartPolicy ?? 'Always';
  for (const container of pod.spec.initContainers ?? []) {
    if (hasPassed(container, records)) continue;
    const { state } = recordOf(records, container);
    const final = policy === 'Never' && !isSidecar(container);
    return state.kind === 'terminated' && (final || terminating) ? 'Failed' : 'Pending';
  }
  // The Pod has not ended before its sidecars have.
  let running = (pod.spec.initContainers ?? []).filter(
    (each) => isSidecar(each) && recordOf(records, each).state.kind === 'running',
  ).length;
  let waiting = 0;
  let stopped = 0;
  let succeeded = 0;
  for (const { name } of pod.spec.containers) {
    const record = records.get(name) ?? newRecord();
    if (record.state.kind === 'running') running++;
    else if (record.state.kind === 'terminated') {
      stopped++;
      if (record.state.exitCode === 0) succeeded++;
    } else if (record.last) stopped++;
    else waiting++;
  }
  if (waiting > 0) return 'Pending';
  if (running > 0) return 'Running';
  if (terminating || policy === 'Never') return stopped === succeeded ? 'Succeeded' : 'Failed';
  if (policy === 'Always') return 'Running';
  return stopped === succeeded ? 'Succeeded' : 'Running';
}

/** The conditions kubelet owns, without transition times. */
function ownConditions(pod: Pod, records: Records, phase: string): Condition[] {
  const unfinished = (pod.spec.initContainers ?? []).filter((container) => !hasPassed(container, records));
  const serving = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  const unready = serving.filter(({ name }) => !records.get(name)?.ready);
  const list = (containers: Container[]) => `[${containers.map(({ name }) => name).join(' ')}]`;
  const initialized: Condition =
    unfinished.length === 0
      ? { type: 'Initialized', status: 'True', ...(phase === 'Succeeded' ? { reason: 'PodCompleted' } : {}) }
      : {
          type: 'Initialized',
          status: 'False',
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: ${list(unfinished)}`,
        };
  const ready = (type: string): Condition => {
    if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
    if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
    if (unfinished.length === 0 && unready.length === 0) return { type, status: 'True' };
    const message = `containers with unready status: ${list(unready)}`;
    return { type, status: 'False', reason: 'ContainersNotReady', message };
  };
  return [{ type: 'PodScheduled', status: 'True' }, initialized, ready('Ready'), ready('ContainersReady')];
}

/** Keeps the transition time of a condition whose status has not changed, and conditions that others own. */
export function mergeConditions(before: Condition[], mine: Condition[], now: number): Condition[] {
  const names = new Set(mine.map(({ type }) => type));
  const merged = mine.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const kept = old?.status === condition.status ? old.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: kept ?? timestamp(now) };
  });
  return [...merged, ...before.filter(({ type }) => !names.has(type))];
}

/** The whole status of a Pod that this agent runs. */
export function podStatus(pod: Pod, records: Records, facts: StatusFacts, now: number): PodStatus {
  const phase = phaseOf(pod, records, facts.terminating);
  const inits = pod.spec.initContainers ?? [];
  const nextInit = inits.findIndex((container) => !hasPassed(container, records));
  const initialising = nextInit !== -1;
  const status = (containers: Container[], blocked: (index: number) => boolean) =>
    containers.map((container, index) => {
      const record = recordOf(records, container);
      return containerStatus(
        container,
        record,
        blocked(index) && record.state.kind === 'waiting',
        containers === inits,
      );
    });
  const conditions = mergeConditions(
    pod.status?.conditions ?? [],
    [...ownConditions(pod, records, phase), ...facts.machine, ...updateConditions(pod, records)],
    now,
  );
  return {
    phase,
    conditions,
    ...(inits.length > 0
      ? { initContainerStatuses: status(inits, (index) => initialising && index > nextInit) }
      : {}),
    containerStatuses: status(pod.spec.containers, () => initialising),
    hostIP: facts.hostIP,
    podIP: facts.podIP,
    podIPs: [{ ip: facts.podIP }],
    startTime: pod.status?.startTime ?? timestamp(facts.startedAt),
  };
}

/**
 * Records for a Pod of which an earlier agent has written a status: what ran then is gone, and nobody saw how it ended.
 */
export function recordsFromStatus(pod: Pod, now: number): Records {
  const records: Records = new Map();
  for (const status of [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ]) {
    const record = newRecord();
    record.restarts = status.restartCount;
    record.passed = status.started === true || status.restartCount > 0;
    const last = status.lastState.terminated;
    if (last) record.last = fromApi(last, now);
    if (status.state.terminated)
      record.state = { kind: 'terminated', ...fromApi(status.state.terminated, now) };
    else if (status.state.running) {
      record.state = {
        kind: 'terminated',
        exitCode: 137,
        reason: 'ContainerStatusUnknown',
        message: 'The container could not be located when the node agent started',
        startedAt: Date.parse(status.state.running.startedAt ?? '') || now,
        finishedAt: now,
      };
    }
    records.set(status.name, record);
  }
  return records;
}

function fromApi(state: NonNullable<ContainerState['terminated']>, now: number): Terminated {
  return {
    exitCode: state.exitCode,
    reason: state.reason ?? (state.exitCode === 0 ? 'Completed' : 'Error'),
    ...(state.message ? { message: state.message } : {}),
    startedAt: Date.parse(state.startedAt ?? '') || now,
    finishedAt: Date.parse(state.finishedAt ?? '') || now,
  };
}
