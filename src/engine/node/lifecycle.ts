/**
 * What has to happen next with the containers of a Pod. Pure: state and time come in, decisions go out. Rules: kubelet
 * (`kuberuntime_manager.computePodActions`, `kuberuntime_container.computeInitContainerActions`).
 */
import type { Container, Pod } from '../../kinds/pod.ts';

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
  /** `started` was true once: what waits for a sidecar no longer does. */
  passed: boolean;
  containerID?: string;
  /** Name and digest of its image, where one was brought. */
  imageID?: string;
  /** What the current run was started as, see `launchKey`. */
  key?: string;
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
  passed: false,
  backoffMs: 0,
  notBefore: 0,
});

/** First restart at once, then 10 s doubling to 5 min, forgotten after 10 min of running (kubelet `MaxContainerBackOff`). */
export const BACKOFF = { firstMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 };

/** Milliseconds to wait before the next start, after a run of `ranMs` that came after a wait of `previousMs`. */
export function nextBackoff(previousMs: number, ranMs: number, restarts: number): number {
  if (ranMs >= BACKOFF.resetAfterMs) return 0;
  if (restarts === 0 && previousMs === 0) return 0;
  return previousMs === 0 ? BACKOFF.firstMs : Math.min(previousMs * 2, BACKOFF.maxMs);
}

/** An init container that keeps running beside the others: they wait until it has started, and it ends after them. */
export const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';

export const recordOf = (records: Records, { name }: Container): ContainerRecord =>
  records.get(name) ?? newRecord();

/** Whether what comes after this init container may start. */
export function hasPassed(container: Container, records: Records): boolean {
  const record = recordOf(records, container);
  return isSidecar(container) ? record.passed : done(record);
}

function restarts(policy: Pod['spec']['restartPolicy'], exitCode: number): boolean {
  return policy === 'Never' ? false : policy === 'OnFailure' ? exitCode !== 0 : true;
}

/** Whether a container that ended with this code is started again. */
function startsAgain(pod: Pod, container: Container, exitCode: number): boolean {
  if (isSidecar(container)) return true;
  const init = pod.spec.initContainers?.some(({ name }) => name === container.name) ?? false;
  return init && exitCode === 0 ? false : restarts(pod.spec.restartPolicy, exitCode);
}

/**
 * A container has ended: the record as it is afterwards. Init containers that succeed are never run again. `end` is for people;
 * `ranMs` and `at` come from the monotonic clock, so that setting the machine's clock moves no restart.
 */
export function afterExit(
  pod: Pod,
  container: Container,
  record: ContainerRecord,
  end: Terminated,
  ranMs: number,
  at: number,
): ContainerRecord {
  const next: ContainerRecord = {
    ...record,
    state: { kind: 'terminated', ...end },
    ready: false,
    started: false,
  };
  if (!startsAgain(pod, container, end.exitCode)) return next;
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
  const consider = (container: Container, again: (exitCode: number) => boolean) => {
    const record = recordOf(records, container);
    const { state } = record;
    if (state.kind === 'running' || state.kind === 'starting') return;
    if (state.kind === 'terminated' && !again(state.exitCode)) return;
    if (record.notBefore > now) {
      decision.backOff.push({ container, record });
      decision.wakeAt = Math.min(decision.wakeAt ?? Number.POSITIVE_INFINITY, record.notBefore);
    } else decision.start.push(container);
  };
  for (const container of pod.spec.initContainers ?? []) {
    const passed = hasPassed(container, records);
    if (isSidecar(container)) consider(container, () => true);
    else if (!passed) consider(container, () => pod.spec.restartPolicy !== 'Never');
    if (!passed) return decision;
  }
  for (const container of pod.spec.containers) {
    consider(container, (exitCode) => restarts(pod.spec.restartPolicy, exitCode));
  }
  return decision;
}

/** No container will ever run again; sidecars, which end with the others, are not asked. */
export function hasEnded(pod: Pod, records: Records): boolean {
  const never = pod.spec.restartPolicy === 'Never';
  for (const container of pod.spec.initContainers ?? []) {
    if (hasPassed(container, records)) continue;
    const { state } = recordOf(records, container);
    return !isSidecar(container) && never && state.kind === 'terminated';
  }
  return pod.spec.containers.every((container) => {
    const { state } = recordOf(records, container);
    return state.kind === 'terminated' && !restarts(pod.spec.restartPolicy, state.exitCode);
  });
}

/**
 * Who is told to end now, when all have to: first everything but the sidecars, then these one by one, last started first.
 * `live` are the names of containers that run.
 */
export function nextToStop(pod: Pod, live: ReadonlySet<string>): string[] {
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const others = [...live].filter((name) => !sidecars.includes(name));
  if (others.length > 0) return others;
  return sidecars.filter((name) => live.has(name)).slice(-1);
}
