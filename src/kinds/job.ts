/** Jobs: Pods that run to an end. The parts of batch/v1 that this platform acts on. */
import type { KubeObject } from './object.ts';
import type { PodSpec } from './pod.ts';

export interface Job extends KubeObject {
  apiVersion: 'batch/v1';
  kind: 'Job';
  spec: JobSpec;
  status?: JobStatus;
}

export interface JobSpec {
  /** Pods that run at once. */
  parallelism?: number;
  /** Pods that must succeed; absent: the first success, once all have ended, completes the Job. */
  completions?: number;
  /** Seconds from `startTime` after which it fails. */
  activeDeadlineSeconds?: number;
  /** Failed Pods before it is given up. */
  backoffLimit?: number;
  podFailurePolicy?: { rules: PodFailureRule[] };
  selector?: { matchLabels?: Record<string, string> };
  template: {
    metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
    spec: PodSpec;
  };
  /** Seconds a finished Job is kept. */
  ttlSecondsAfterFinished?: number;
  suspend?: boolean;
  podReplacementPolicy?: 'TerminatingOrFailed' | 'Failed';
  managedBy?: string;
}

/** What the failure of a Pod means; the first rule that matches decides. */
export interface PodFailureRule {
  action: 'FailJob' | 'Ignore' | 'Count';
  onExitCodes?: { containerName?: string; operator: 'In' | 'NotIn'; values: number[] };
  onPodConditions?: { type: string; status?: string }[];
}

export interface JobCondition {
  type: 'Complete' | 'Failed' | 'Suspended' | 'FailureTarget' | 'SuccessCriteriaMet';
  status: 'True' | 'False' | 'Unknown';
  lastProbeTime?: string;
  lastTransitionTime?: string;
  reason?: string;
  message?: string;
}

export interface JobStatus {
  conditions?: JobCondition[];
  startTime?: string;
  completionTime?: string;
  active?: number;
  ready?: number;
  terminating?: number;
  succeeded?: number;
  failed?: number;
  /** Pods that have ended and still carry the finalizer, by uid. */
  uncountedTerminatedPods?: { succeeded?: string[]; failed?: string[] };
}

/** Labels of a Job's Pods; the short ones are those of before Kubernetes 1.27. */
export const JOB_LABELS = {
  uid: 'batch.kubernetes.io/controller-uid',
  name: 'batch.kubernetes.io/job-name',
  legacyUid: 'controller-uid',
  legacyName: 'job-name',
} as const;

/** Holds a Pod until its end has been counted. */
export const JOB_FINALIZER = 'batch.kubernetes.io/job-tracking';
/** Value of `spec.managedBy` for Jobs that Kubernetes' own controller, here this platform's, looks after. */
export const JOB_CONTROLLER = 'kubernetes.io/job-controller';

/** The condition by which a Job has come to an end, if it has. */
export function jobOutcome({ status }: Job): JobCondition | undefined {
  return status?.conditions?.find(
    ({ type, status: is }) => (type === 'Complete' || type === 'Failed') && is === 'True',
  );
}
