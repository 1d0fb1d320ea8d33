/** Why a container that should run waits, in kubelet's words, and until when. Pure. Source: kubelet `kuberuntime`, `images`. */
import type { Container, Pod } from '../../kinds/pod.ts';
import type { CannotStart } from './launch.ts';
import { type ContainerRecord, nextBackoff, type Terminated } from './lifecycle.ts';

/** First the one, then the other, as an image that does not come is shown. */
const PULL_FAILED = new Set(['ErrImagePull', 'ImagePullBackOff']);

/** A crashed container whose restart waits. `event` is for the Pod. */
export function backedOff(
  { metadata }: Pod,
  { name }: Container,
  { backoffMs }: ContainerRecord,
  last: Terminated,
): { change: Partial<ContainerRecord>; event: string } {
  const pod = `${metadata.name}_${metadata.namespace}(${metadata.uid})`;
  const message = `back-off ${Math.round(backoffMs / 1000)}s restarting failed container=${name} pod=${pod}`;
  return {
    change: { last, state: { kind: 'waiting', reason: 'CrashLoopBackOff', message } },
    event: `Back-off restarting failed container ${name} in pod ${pod}`,
  };
}

/** A container that cannot be started now. Tried again after `retryMs`, for an image less and less often. `now` is the monotonic clock's. */
export function heldBack(
  { image }: Container,
  { state: old, backoffMs }: ContainerRecord,
  why: CannotStart,
  retryMs: number,
  now: number,
): { change: Partial<ContainerRecord>; message: string; isNews: boolean } {
  const pull = why.reason === 'ErrImagePull';
  const again = pull && old.kind === 'waiting' && PULL_FAILED.has(old.reason);
  const reason = again ? 'ImagePullBackOff' : why.reason;
  const message = again ? `Back-off pulling image "${image}": ErrImagePull: ${why.message}` : why.message;
  const pause = pull ? nextBackoff(again ? backoffMs : 0, 0, 1) : retryMs;
  return {
    message,
    isNews: old.kind !== 'waiting' || old.message !== message,
    change: {
      state: { kind: 'waiting', reason, message },
      notBefore: now + pause,
      ...(pull ? { backoffMs: pause } : {}),
    },
  };
}
