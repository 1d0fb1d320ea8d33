import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timestamp } from '../../base/clock.ts';
import { JOB_FINALIZER, type Job, type JobSpec, type JobStatus } from '../../kinds/job.ts';
import type { Pod } from '../../kinds/pod.ts';
import { planJob } from './job-state.ts';

const NOW = Date.parse('2026-01-01T00:10:00Z');
const ago = (seconds: number) => timestamp(NOW - seconds * 1000);

const job = (spec: Partial<JobSpec> = {}, status: JobStatus = { startTime: ago(60) }): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'j', namespace: 'n', uid: 'j' },
  spec: {
    completions: 1,
    parallelism: 1,
    backoffLimit: 6,
    template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c' }] } },
    ...spec,
  },
  status,
});

let uids = 0;
function pod(
  phase: NonNullable<Pod['status']>['phase'],
  options: { exit?: number; at?: number; dying?: boolean; counted?: boolean; restarts?: number } = {},
): Pod {
  const uid = `p${++uids}`;
  const { exit = phase === 'Failed' ? 1 : 0, at = 1000 } = options;
  const over = phase === 'Succeeded' || phase === 'Failed';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: uid,
      namespace: 'n',
      uid,
      creationTimestamp: ago(2000),
      ...(options.dying ? { deletionTimestamp: ago(1) } : {}),
      finalizers: options.counted ? [] : [JOB_FINALIZER],
    },
    spec: { containers: [{ name: 'c' }] },
    status: {
      phase,
      containerStatuses: [
        {
          name: 'c',
          state: over ? { terminated: { exitCode: exit, finishedAt: ago(at) } } : { running: {} },
          lastState: {},
          ready: false,
          restartCount: options.restarts ?? 0,
          image: '',
          imageID: '',
        },
      ],
    },
  };
}
const condition = (status: JobStatus, type: string) => status.conditions?.find((c) => c.type === type);

test('Pods are made up to the parallelism and no further than what is left', () => {
  assert.equal(planJob(job(), [], NOW).create, 1);
  assert.equal(planJob(job({ completions: 5, parallelism: 3 }), [pod('Running')], NOW).create, 2);
  const late = job({ completions: 5, parallelism: 3 }, { startTime: ago(9), succeeded: 4 });
  assert.equal(planJob(late, [], NOW).create, 1);
  assert.equal(planJob(job({ parallelism: 0 }), [], NOW).create, 0);
});

test('an end is written down before its Pod is let go, and counted once', () => {
  const done = pod('Succeeded');
  const first = planJob(job({ completions: 2 }), [done], NOW);
  assert.deepEqual(first.status.uncountedTerminatedPods, { succeeded: [done.metadata.uid] });
  assert.equal(first.status.succeeded, undefined);
  assert.deepEqual(first.release, [done]);
  assert.equal(first.create, 1, 'it counts for what is left all the same');
  const again = planJob({ ...job({ completions: 2 }), status: first.status }, [done], NOW);
  assert.deepEqual(again.status.uncountedTerminatedPods, { succeeded: [done.metadata.uid] });
  const released = { ...done, metadata: { ...done.metadata, finalizers: [] } };
  const second = planJob({ ...job({ completions: 2 }), status: first.status }, [released], NOW);
  assert.equal(second.status.succeeded, 1);
  assert.deepEqual(second.status.uncountedTerminatedPods, {});
  // Gone before anybody looked again.
  assert.equal(planJob({ ...job({ completions: 2 }), status: first.status }, [], NOW).status.succeeded, 1);
});

test('Complete comes when all is counted, with the reasons of Kubernetes', () => {
  const { status, events } = planJob(job({}, { startTime: ago(5), succeeded: 1 }), [], NOW);
  assert.equal(condition(status, 'SuccessCriteriaMet')?.reason, 'CompletionsReached');
  assert.deepEqual(
    [condition(status, 'Complete')?.status, condition(status, 'Complete')?.message],
    ['True', 'Reached expected number of succeeded pods'],
  );
  assert.equal(status.completionTime, timestamp(NOW));
  assert.equal(events[0]?.reason, 'Completed');
});

test('without completions the first success completes it once all have ended', () => {
  const open = { completions: undefined, parallelism: 2 };
  const one = planJob(job(open, { startTime: ago(5), succeeded: 1 }), [pod('Running')], NOW);
  assert.equal(condition(one.status, 'Complete'), undefined);
  assert.equal(one.create, 0, 'no new ones after a success');
  assert.equal(
    condition(planJob(job(open, { startTime: ago(5), succeeded: 1 }), [], NOW).status, 'Complete')?.status,
    'True',
  );
});

test('a failed Pod is replaced after ten seconds, then twenty, up to ten minutes', () => {
  const after = (failures: number, seconds: number) =>
    planJob(
      job({}, { startTime: ago(2000), failed: failures }),
      Array.from({ length: failures }, (_, i) => pod('Failed', { counted: true, at: seconds + i })),
      NOW,
    );
  assert.deepEqual([after(1, 4).create, after(1, 4).againMs], [0, 6000]);
  assert.equal(after(1, 10).create, 1);
  assert.deepEqual([after(2, 4).create, after(2, 4).againMs], [0, 16_000]);
});

test('more failures than the limit fail it; what still runs goes first', () => {
  const spec = { backoffLimit: 0, parallelism: 2, completions: 2 };
  const running = pod('Running');
  const first = planJob(job(spec), [pod('Failed'), running], NOW);
  assert.deepEqual(first.delete, [running]);
  assert.equal(condition(first.status, 'FailureTarget')?.reason, 'BackoffLimitExceeded');
  assert.equal(condition(first.status, 'Failed'), undefined);
  const settled = planJob(
    { ...job(spec), status: { ...first.status, uncountedTerminatedPods: {}, failed: 2 } },
    [],
    NOW,
  );
  assert.equal(condition(settled.status, 'Failed')?.message, 'Job has reached the specified backoff limit');
  assert.equal(settled.events[0]?.type, 'Warning');
});

test('restarts count where containers are started again', () => {
  const spec = {
    backoffLimit: 2,
    template: { spec: { restartPolicy: 'OnFailure' as const, containers: [] } },
  };
  assert.equal(planJob(job(spec), [pod('Running', { restarts: 1 })], NOW).delete.length, 0);
  assert.equal(planJob(job(spec), [pod('Running', { restarts: 2 })], NOW).delete.length, 1);
});

test('the deadline ends it, and is waited for', () => {
  const spec = { activeDeadlineSeconds: 60 };
  const over = planJob(job(spec), [pod('Running')], NOW);
  assert.equal(condition(over.status, 'FailureTarget')?.reason, 'DeadlineExceeded');
  assert.equal(planJob(job(spec, { startTime: ago(20) }), [pod('Running')], NOW).againMs, 40_000);
});

test('exit codes decide by the policy: fail at once, leave out, count', () => {
  const policy = (action: 'FailJob' | 'Ignore' | 'Count') => ({
    podFailurePolicy: { rules: [{ action, onExitCodes: { operator: 'In' as const, values: [3] } }] },
  });
  const failed = planJob(job(policy('FailJob')), [pod('Failed', { exit: 3 })], NOW);
  assert.equal(condition(failed.status, 'FailureTarget')?.reason, 'PodFailurePolicy');
  assert.match(
    condition(failed.status, 'FailureTarget')?.message ?? '',
    /^Container c for pod n\/p\d+ failed with exit code 3 matching FailJob rule at index 0$/,
  );
  const other = planJob(job(policy('FailJob')), [pod('Failed', { exit: 4 })], NOW);
  assert.equal(condition(other.status, 'FailureTarget'), undefined);
  const ignored = planJob(job({ backoffLimit: 0, ...policy('Ignore') }), [pod('Failed', { exit: 3 })], NOW);
  assert.equal(ignored.status.uncountedTerminatedPods?.failed, undefined);
  assert.equal(ignored.release.length, 1);
  assert.equal(condition(ignored.status, 'FailureTarget'), undefined);
});

test('a Pod that somebody deletes counts as failed, and does not hold up its own end', () => {
  const { status, release } = planJob(job(), [pod('Running', { dying: true })], NOW);
  assert.equal(status.uncountedTerminatedPods?.failed?.length, 1);
  assert.equal(release.length, 1);
});

test('suspended, it has no Pods and no time runs; resumed, it begins anew', () => {
  const running = pod('Running');
  const held = planJob(job({ suspend: true }), [running], NOW);
  assert.deepEqual(held.delete, [running]);
  assert.equal(held.status.startTime, undefined);
  assert.equal(condition(held.status, 'Suspended')?.reason, 'JobSuspended');
  const on = planJob({ ...job(), status: held.status }, [], NOW);
  assert.equal(condition(on.status, 'Suspended')?.reason, 'JobResumed');
  assert.equal(on.status.startTime, timestamp(NOW));
  assert.equal(on.create, 1);
});

test('a finished Job goes when it has been kept long enough', () => {
  const done = (seconds: number): JobStatus => ({
    conditions: [{ type: 'Complete', status: 'True', lastTransitionTime: ago(seconds) }],
  });
  const spec = { ttlSecondsAfterFinished: 30 };
  assert.equal(planJob(job(spec, done(31)), [], NOW).expired, true);
  const kept = planJob(job(spec, done(10)), [], NOW);
  assert.deepEqual([kept.expired, kept.againMs, kept.create], [false, 20_000, 0]);
});
