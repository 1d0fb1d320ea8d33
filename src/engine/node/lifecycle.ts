/**
 * What has to happen next with the containers of a Pod, and what its status says. Pure: state and time come in, decisions
 * go out. Rules: kubelet (`kuberuntime_manager.computePodActions`, `kubelet_pods.getPhase`, `status/generate.go`).
 */
import type { Condition } from '../../kinds/object.ts';
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus } from '../../kinds/pod.ts';

export interface Terminated {
  exitCode: number;
  reason: string;
  message?: string;
  startedAt: number;
  finishedAt: number;
}

/** What the agent knows of one container. */
export interface ContainerRecord {
  state:
    | { kind: 'waiting'; reason: string; message?: string }
    /** Being started; shown as waiting. */
    | { kind: 'starting' }
    | { kind: 'running'; startedAt: number }
    | ({ kind: 'terminated' } & Terminated);
  last?: Terminated;
  restarts: number;
  ready: boolean;
  /** The startup probe has succeeded, or there is none and it runs. */
  started: boolean;
  containerID?: string;
  /** Wait before the next restart, milliseconds; doubles with every crash. */
  backoffMs: number;
  /** Not before this time, milliseconds of the monotonic clock. */
  notBefore: number;
}

export type Records = Map<string, ContainerRecord>;

export const newRecord = (): ContainerRecord => ({
  state: { kind: 'waiting', reason: 'ContainerCreating' },
  restarts: 0,
  ready: false,
  started: false,
  backoffMs: 0,
  notBefore: 0,
});

/** First restart at once, then 10 s doubling to 5 min, forgotten after 10 min of running (kubelet `MaxContainerBackOff`). */
export const BACKOFF = { firstMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 };

export function nextBackoff(previousMs: number, ranMs: number, restarts: number): number {
  if (ranMs >= BACKOFF.resetAfterMs) return 0;
  if (restarts === 0 && previousMs === 0) return 0;
  return previousMs === 0 ? BACKOFF.firstMs : Math.min(previousMs * 2, BACKOFF.maxMs);
}

function restarts(policy: Pod['spec']['restartPolicy'], exitCode: number): boolean {
  return policy === 'Never' ? false : policy === 'OnFailure' ? exitCode !== 0 : true;
}

/**
 * A container has ended: the record as it is afterwards. Init containers that succeed are never run again. `end` is for people;
 * `ranMs` and `at` come from the monotonic clock, so that setting the machine's clock moves no restart.
 */
export function afterExit(
  pod: Pod,
  init: boolean,
  record: ContainerRecord,
  end: Terminated,
  ranMs: number,
  at: number,
): ContainerRecord {
  const again = init && end.exitCode === 0 ? false : restarts(pod.spec.restartPolicy, end.exitCode);
  const next: ContainerRecord = {
    ...record,
    state: { kind: 'terminated', ...end },
    ready: false,
    started: false,
  };
  if (!again) return next;
  next.backoffMs = nextBackoff(record.backoffMs, ranMs, record.restarts);
  next.notBefore = at + next.backoffMs;
  return next;
}

export interface Decision {
  /** Containers to start now. */
  start: Container[];
  /** Containers whose restart waits. */
  backOff: { container: Container; record: ContainerRecord }[];
  /** Look again at this time, milliseconds of the monotonic clock. */
  wakeAt?: number;
}

const done = (record: ContainerRecord) => record.state.kind === 'terminated' && record.state.exitCode === 0;

/** Decides for a Pod that is not being deleted and has not ended. `now` is the monotonic clock's. */
export function decide(pod: Pod, records: Records, now: number): Decision {
  const decision: Decision = { start: [], backOff: [] };
  const consider = (container: Container, init: boolean) => {
    const record = records.get(container.name) ?? newRecord();
    const { state } = record;
    if (state.kind === 'running' || state.kind === 'starting') return;
    if (state.kind === 'terminated') {
      if (init ? pod.spec.restartPolicy === 'Never' : !restarts(pod.spec.restartPolicy, state.exitCode))
        return;
    }
    if (record.notBefore > now) {
      decision.backOff.push({ container, record });
      decision.wakeAt = Math.min(decision.wakeAt ?? Number.POSITIVE_INFINITY, record.notBefore);
    } else decision.start.push(container);
  };
  for (const container of pod.spec.initContainers ?? []) {
    if (done(records.get(container.name) ?? newRecord())) continue;
    consider(container, true);
    return decision;
  }
  for (const container of pod.spec.containers) consider(container, false);
  return decision;
}

/** No container will ever run again. */
export function hasEnded(pod: Pod, records: Records): boolean {
  const never = pod.spec.restartPolicy === 'Never';
  for (const { name } of pod.spec.initContainers ?? []) {
    const state = records.get(name)?.state;
    if (state?.kind === 'terminated' && state.exitCode !== 0 && never) return true;
    if (state?.kind !== 'terminated' || state.exitCode !== 0) return false;
  }
  return pod.spec.containers.every(({ name }) => {
    const state = records.get(name)?.state;
    return state?.kind === 'terminated' && !restarts(pod.spec.restartPolicy, state.exitCode);
  });
}

export const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

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

function containerStatus(container: Container, record: ContainerRecord, blocked: boolean): ContainerStatus {
  return {
    name: container.name,
    state: stateOf(record, blocked),
    lastState: record.last ? { terminated: terminatedState(record.last) } : {},
    ready: record.ready,
    started: record.started,
    restartCount: record.restarts,
    image: container.image ?? '',
    imageID: '',
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
  for (const { name } of pod.spec.initContainers ?? []) {
    const state = (records.get(name) ?? newRecord()).state;
    if (state.kind === 'terminated' && state.exitCode === 0) continue;
    if (state.kind === 'terminated' && (policy === 'Never' || terminating)) return 'Failed';
    return 'Pending';
  }
  let running = 0;
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

/** The four conditions kubelet owns, without transition times. */
function ownConditions(pod: Pod, records: Records, phase: string): Condition[] {
  const unfinished = (pod.spec.initContainers ?? []).filter(
    ({ name }) => !done(records.get(name) ?? newRecord()),
  );
  const unready = pod.spec.containers.filter(({ name }) => !records.get(name)?.ready);
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
  const initialising = !inits.every(({ name }) => done(records.get(name) ?? newRecord()));
  const nextInit = inits.findIndex(({ name }) => !done(records.get(name) ?? newRecord()));
  const status = (containers: Container[], blocked: (index: number) => boolean) =>
    containers.map((container, index) => {
      const record = records.get(container.name) ?? newRecord();
      return containerStatus(container, record, blocked(index) && record.state.kind === 'waiting');
    });
  const conditions = mergeConditions(
    pod.status?.conditions ?? [],
    [...ownConditions(pod, records, phase), ...facts.machine],
    now,
  );
  return {
    phase,
    conditions,
    ...(inits.length > 0 ? { initContainerStatuses: status(inits, (index) => index > nextInit) } : {}),
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
