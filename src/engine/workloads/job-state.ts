/**
 * What a Job should come to, from its spec, its status and its Pods. Pure: time comes in, a plan goes out.
 * Source of the rules: kubernetes `pkg/controller/job`, 1.32, for Jobs that are not indexed.
 */
import { timestamp } from '../../base/clock.ts';
import {
  JOB_FINALIZER,
  type Job,
  type JobCondition,
  type JobStatus,
  jobOutcome,
  type PodFailureRule,
} from '../../kinds/job.ts';
import type { Pod } from '../../kinds/pod.ts';

/** What to do next for a Job. */
export interface JobPlan {
  status: JobStatus;
  /** Pods to make. */
  create: number;
  delete: Pod[];
  /** Pods whose end is written down in `status`: their finalizer can go once that is stored. */
  release: Pod[];
  /** The Job itself has been kept long enough. */
  expired: boolean;
  /** Look again after this time although nothing changes, milliseconds. */
  againMs?: number;
  /** What the events say: reason and message. */
  events: { type: 'Normal' | 'Warning'; reason: string; message: string }[];
}

/** Wait before a failed Pod is replaced: this, doubling with each failure in a row. Source: `DefaultJobPodFailureBackOff`, `MaxJobPodFailureBackOff`. */
const BACKOFF = { firstMs: 10_000, maxMs: 600_000 };
/** New Pods made in one step. Source: `MaxPodCreateDeletePerSync`. */
const MAX_STEP = 500;

type End = { reason: string; message: string };

const uidOf = (pod: Pod): string => pod.metadata.uid ?? '';
const held = (pod: Pod): boolean => pod.metadata.finalizers?.includes(JOB_FINALIZER) ?? false;
const terminal = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';
const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

function finishedAt(pod: Pod): number {
  const ends = (pod.status?.containerStatuses ?? []).map(({ state }) =>
    Date.parse(state.terminated?.finishedAt ?? ''),
  );
  const last = Math.max(...ends.filter(Number.isFinite));
  return Number.isFinite(last) ? last : Date.parse(pod.metadata.creationTimestamp ?? '');
}

/** The rule that says what this failed Pod means, and the message of a Job that it fails. */
function ruleFor(job: Job, pod: Pod): { rule: PodFailureRule; message: string } | undefined {
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
  for (const [index, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    const { onExitCodes: codes, onPodConditions: conditions } = rule;
    const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
    const container = all.find(({ name: each, state }) => {
      const code = state.terminated?.exitCode;
      if (!codes || code === undefined || code === 0) return false;
      if (codes.containerName && codes.containerName !== each) return false;
      return codes.values.includes(code) === (codes.operator === 'In');
    });
    if (container) {
      const code = container.state.terminated?.exitCode;
      return {
        rule,
        message: `Container ${container.name} for pod ${name} failed with exit code ${code} matching ${rule.action} rule at index ${index}`,
      };
    }
    const condition = conditions?.find((wanted) =>
      pod.status?.conditions?.some(
        ({ type, status }) => type === wanted.type && status === (wanted.status ?? 'True'),
      ),
    );
    if (condition)
      return {
        rule,
        message: `Pod ${name} has condition ${condition.type} matching ${rule.action} rule at index ${index}`,
      };
  }
  return undefined;
}

/** Restarts of containers count against the limit, too. */
function pastRestarts({ spec }: Job, pods: Pod[]): boolean {
  if (spec.template.spec.restartPolicy !== 'OnFailure') return false;
  const limit = spec.backoffLimit ?? 6;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue;
    for (const each of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += each.restartCount;
  }
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

function withJobCondition(
  conditions: JobCondition[] | undefined,
  now: number,
  type: JobCondition['type'],
  status: JobCondition['status'],
  { reason, message }: End,
): JobCondition[] {
  const old = conditions?.find((condition) => condition.type === type);
  if (old?.status === status && old.reason === reason) return conditions ?? [];
  const at = timestamp(now);
  const next: JobCondition = { type, status, reason, message, lastProbeTime: at, lastTransitionTime: at };
  return old
    ? (conditions ?? []).map((condition) => (condition === old ? next : condition))
    : [...(conditions ?? []), next];
}

/** The plan for a Job whose Pods (all that it controls, also those that are being deleted) are as given. */
export function planJob(job: Job, pods: Pod[], now: number): JobPlan {
  const { spec } = job;
  const status: JobStatus = { ...job.status };
  const plan: JobPlan = { status, create: 0, delete: [], release: [], expired: false, events: [] };
  const failed = ({ status: at, metadata }: Pod): boolean =>
    at?.phase === 'Failed' ||
    (metadata.deletionTimestamp !== undefined && at?.phase !== 'Succeeded' && !spec.podFailurePolicy) ||
    // Nobody runs it, so nobody will ever say how it ended.
    (metadata.deletionTimestamp !== undefined && at?.phase === 'Pending');

  // Counting: each Pod once, whatever happens between two writes.
  const before = status.uncountedTerminatedPods ?? {};
  const uncounted = { succeeded: new Set(before.succeeded), failed: new Set(before.failed) };
  const here = new Map(pods.map((pod) => [uidOf(pod), pod]));
  for (const kind of ['succeeded', 'failed'] as const) {
    for (const uid of uncounted[kind]) {
      const pod = here.get(uid);
      if (pod && held(pod)) plan.release.push(pod);
      else {
        uncounted[kind].delete(uid);
        status[kind] = (status[kind] ?? 0) + 1;
      }
    }
  }
  let end: End | undefined;
  const outcome = jobOutcome(job);
  for (const pod of pods) {
    if (!held(pod) || uncounted.succeeded.has(uidOf(pod)) || uncounted.failed.has(uidOf(pod))) continue;
    if (pod.status?.phase === 'Succeeded') uncounted.succeeded.add(uidOf(pod));
    else if (failed(pod)) {
      const matched = ruleFor(job, pod);
      if (matched?.rule.action === 'FailJob')
        end ??= { reason: 'PodFailurePolicy', message: matched.message };
      if (matched?.rule.action !== 'Ignore') uncounted.failed.add(uidOf(pod));
    } else continue;
    plan.release.push(pod);
  }
  const succeeded = (status.succeeded ?? 0) + uncounted.succeeded.size;
  const failures = (status.failed ?? 0) + uncounted.failed.size;
  const active = pods.filter((pod) => !terminal(pod) && pod.metadata.deletionTimestamp === undefined);
  const terminating = pods.filter((pod) => !terminal(pod) && pod.metadata.deletionTimestamp !== undefined);
  const finish = () => {
    const left = active.length - plan.delete.length;
    if (left > 0) status.active = left;
    else delete status.active;
    status.ready = active.filter((pod) => isReady(pod) && !plan.delete.includes(pod)).length;
    status.terminating = terminating.length + plan.delete.length;
    const lists = {
      ...(uncounted.succeeded.size > 0 ? { succeeded: [...uncounted.succeeded] } : {}),
      ...(uncounted.failed.size > 0 ? { failed: [...uncounted.failed] } : {}),
    };
    status.uncountedTerminatedPods = lists;
    return plan;
  };

  if (outcome) {
    const kept = spec.ttlSecondsAfterFinished;
    if (typeof kept === 'number') {
      const due = Date.parse(outcome.lastTransitionTime ?? '') + kept * 1000 - now;
      if (due <= 0) plan.expired = true;
      else plan.againMs = due;
    }
    return finish();
  }
  const event = (type: 'Normal' | 'Warning', reason: string, message: string) =>
    plan.events.push({ type, reason, message });
  const condition = (type: JobCondition['type'], is: JobCondition['status'], why: End) => {
    status.conditions = withJobCondition(status.conditions, now, type, is, why);
  };

  const suspended = status.conditions?.find(({ type }) => type === 'Suspended');
  if (spec.suspend !== true && status.startTime === undefined) status.startTime = timestamp(now);
  const started = Date.parse(status.startTime ?? '');
  const deadline = spec.activeDeadlineSeconds;

  // An end that was decided earlier, and waited for Pods to go.
  const target = status.conditions?.find(({ type, status: is }) => type === 'FailureTarget' && is === 'True');
  const overdue = typeof deadline === 'number' && spec.suspend !== true && now - started >= deadline * 1000;
  const exceeded = failures > (spec.backoffLimit ?? 6) || pastRestarts(job, pods);
  if (target) end = { reason: target.reason ?? '', message: target.message ?? '' };
  else if (end === undefined && exceeded)
    end = { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
  else if (end === undefined && overdue)
    end = { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };

  const wanted = spec.completions;
  const complete =
    end === undefined &&
    (typeof wanted === 'number' ? succeeded >= wanted : succeeded > 0 && active.length === 0);
  if (end !== undefined || complete) {
    plan.delete = active;
    const counted = uncounted.succeeded.size + uncounted.failed.size === 0;
    const settled = counted && active.length + terminating.length === 0;
    const why = end ?? { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' };
    condition(end ? 'FailureTarget' : 'SuccessCriteriaMet', 'True', why);
    if (!settled) return finish();
    condition(end ? 'Failed' : 'Complete', 'True', why);
    if (end) event('Warning', end.reason, end.message);
    else {
      status.completionTime = timestamp(now);
      event('Normal', 'Completed', 'Job completed');
    }
    if (typeof spec.ttlSecondsAfterFinished === 'number') plan.againMs = spec.ttlSecondsAfterFinished * 1000;
    return finish();
  }

  if (spec.suspend === true) {
    plan.delete = active;
    delete status.startTime;
    if (suspended?.status !== 'True') {
      condition('Suspended', 'True', { reason: 'JobSuspended', message: 'Job suspended' });
      event('Normal', 'Suspended', 'Job suspended');
    }
    return finish();
  }
  if (suspended?.status === 'True') {
    condition('Suspended', 'False', { reason: 'JobResumed', message: 'Job resumed' });
    event('Normal', 'Resumed', 'Job resumed');
    status.startTime = timestamp(now);
  }

  const parallelism = spec.parallelism ?? 1;
  const left = typeof wanted === 'number' ? wanted - succeeded : succeeded > 0 ? active.length : parallelism;
  const room = Math.max(0, Math.min(parallelism, left));
  const inTheWay = spec.podReplacementPolicy === 'Failed' ? terminating.length : 0;
  if (active.length > room) plan.delete = leastWorth(active).slice(0, active.length - room);
  const missing = Math.min(MAX_STEP, room - active.length - inTheWay);
  const wait = missing > 0 ? backOff(pods, now) : 0;
  if (wait > 0) plan.againMs = wait;
  else plan.create = Math.max(0, missing);
  if (typeof deadline === 'number') {
    const due = started + deadline * 1000 - now;
    plan.againMs = Math.min(plan.againMs ?? due, Math.max(0, due));
  }
  return finish();
}

/** Those that have come least far go first. */
function leastWorth(active: Pod[]): Pod[] {
  const worth = (pod: Pod) => (isReady(pod) ? 2 : pod.status?.phase === 'Running' ? 1 : 0);
  return [...active].sort((a, b) => worth(a) - worth(b));
}

/** Milliseconds that the next Pod has to wait because of those that failed since the last success. */
function backOff(pods: Pod[], now: number): number {
  const ended = pods.filter(terminal).sort((a, b) => finishedAt(b) - finishedAt(a));
  const success = ended.findIndex(({ status }) => status?.phase === 'Succeeded');
  const row = success === -1 ? ended.length : success;
  if (row === 0) return 0;
  const wait = Math.min(BACKOFF.maxMs, BACKOFF.firstMs * 2 ** (row - 1));
  return Math.max(0, finishedAt(ended[0] as Pod) + wait - now);
}
