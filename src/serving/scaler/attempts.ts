/** Memory of failed starts and early crashes of one revision, so that a broken one neither spins nor keeps clients waiting. */
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { RevisionFailure } from '../../gateway/contract.ts';
import { backoffDelay } from '../../kube/backoff.ts';
import { KubeError } from '../../kube/client.ts';
import { InstanceError, UnschedulableError } from '../contract.ts';

/** Reason of a failure to create the Pod: the API refuses it. */
export const FAILED_CREATE = 'FailedCreate';

/** Reason of a failure that only another node, or room on one, helps. Source: kubernetes `PodReasonUnschedulable`. */
export const UNSCHEDULABLE = 'Unschedulable';

export interface Attempts {
  /** A start failed. `permanent`: it will fail again until the revision changes. */
  failed(error: unknown, now: number): void;
  /** An instance went away after `lifeMs`. */
  crashed(reason: string, lifeMs: number, now: number): void;
  /** An instance came up. */
  succeeded(): void;
  /** Milliseconds until the next start may be tried; 0 is now. */
  waitMs(now: number): number;
  /** What to tell clients while starts are not tried, or when none came of them. */
  readonly failure: RevisionFailure | undefined;
  readonly permanent: boolean;
  /** Waiting any longer is worse for a client than the answer: the fault is permanent, or has come back several times. */
  readonly hopeless: boolean;
}

/** Failures that pass (a pool that is empty, a node that is busy) are worth this many tries before clients are told. */
const PATIENCE = 4;
/** An instance that lived this long was a good one. */
const GOOD_LIFE_MS = 10_000;
const TRANSIENT = { baseMs: 100, maxMs: 30_000 };
const PERMANENT = { baseMs: 1000, maxMs: 30_000 };

export function createAttempts(random: () => number): Attempts {
  let failures = 0;
  let notBefore = 0;
  let failure: RevisionFailure | undefined;
  let permanent = false;
  /** Early crashes in a row; a start that succeeds does not make up for them, only a long life does. */
  let crashes = 0;

  return {
    failed(error, now) {
      failures++;
      permanent = error instanceof InstanceError;
      failure = failureOf(error);
      notBefore = now + backoffDelay(failures, { ...(permanent ? PERMANENT : TRANSIENT), random });
    },
    crashed(reason, lifeMs, now) {
      if (lifeMs >= GOOD_LIFE_MS) crashes = 0;
      crashes++;
      // The first time may be bad luck: replace it at once.
      if (crashes === 1) return;
      notBefore = Math.max(notBefore, now + backoffDelay(crashes - 1, { ...TRANSIENT, random }));
      failure = {
        status: 503,
        component: 'instance',
        reason: 'CrashLoop',
        message: `the instance keeps going away: ${reason}`,
      };
    },
    succeeded() {
      failures = 0;
      permanent = false;
      if (crashes <= 1) failure = undefined;
    },
    waitMs: (now) => Math.max(0, notBefore - now),
    get failure() {
      return failure;
    },
    get permanent() {
      return permanent;
    },
    get hopeless() {
      return permanent || failures >= PATIENCE || crashes > PATIENCE;
    },
  };
}

/** What a client is told about a failed start. */
export function failureOf(error: unknown): RevisionFailure {
  if (error instanceof InstanceError) return error.failure;
  if (error instanceof UnschedulableError)
    return { status: 503, component: 'scaler', reason: UNSCHEDULABLE, message: error.message };
  if (error instanceof PetrelError) {
    const message = error.why ? `${error.message}: ${error.why}` : error.message;
    return { status: 503, component: 'scaler', reason: error.code, message };
  }
  const message = messageOf(error);
  if (error instanceof KubeError && error.code === 403)
    return { status: 503, component: 'scaler', reason: FAILED_CREATE, message };
  return { status: 503, component: 'scaler', reason: 'StartFailed', message };
}
