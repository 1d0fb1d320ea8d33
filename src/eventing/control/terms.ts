/** From what objects say of delivery and storage to what the engine is told. Pure. Source: knative.dev/eventing `pkg/kncloudevents/retries.go`. */
import { parseIsoDuration } from '../../kinds/eventing/iso-duration.ts';
import type { DeliverySpec } from '../../kinds/eventing/objects.ts';
import { streamWishes, subscriptionWishes } from '../../kinds/eventing/wishes.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { DeliveryTerms, StreamSpec, SubscriptionSpec, Target } from '../model.ts';

const GIB = 2 ** 30;
const DAY_MS = 86_400_000;

/** What holds for streams that ask for nothing else. */
const STREAM = {
  maxAgeMs: 7 * DAY_MS,
  maxBytes: 4 * GIB,
  hardMaxBytes: 16 * GIB,
  dedupMs: 0,
  maxEventBytes: 2 ** 20,
} as const;

const CONCURRENCY = 100;
/** Deliveries that failed together should not come back together. */
const JITTER = 0.1;

/** Milliseconds of a text that admission has checked. */
const ms = (text: string | undefined): number => (text === undefined ? 0 : (parseIsoDuration(text) ?? 0));

/** Terms of delivery; a back-off counts only where both policy and delay are given, as upstream has it. */
export function deliveryTerms(
  delivery: DeliverySpec | undefined,
  deadLetter: Target | undefined,
  jitter = JITTER,
): DeliveryTerms {
  const { retry = 0, backoffPolicy, backoffDelay, timeout, retryAfterMax, format } = delivery ?? {};
  return {
    retry,
    backoffPolicy: backoffPolicy ?? 'exponential',
    backoffDelayMs: backoffPolicy === undefined ? 0 : ms(backoffDelay),
    jitter,
    timeoutMs: ms(timeout),
    retryAfterMaxMs: ms(retryAfterMax),
    ...(deadLetter && { deadLetter }),
    ...(format && { format }),
  };
}

/** The stream behind an object, as its annotations ask. */
export function streamSpec(
  key: string,
  { metadata }: KubeObject,
  more: Pick<StreamSpec, 'ttl' | 'reportTypes'>,
): StreamSpec {
  const wishes = streamWishes(metadata.annotations);
  const maxBytes = wishes.retentionBytes ?? STREAM.maxBytes;
  return {
    key,
    uid: metadata.uid ?? '',
    maxAgeMs: wishes.retentionAge ?? STREAM.maxAgeMs,
    maxBytes,
    hardMaxBytes: Math.max(wishes.maxBytes ?? STREAM.hardMaxBytes, maxBytes),
    dedupMs: wishes.dedupWindow ?? STREAM.dedupMs,
    maxEventBytes: wishes.maxEventSize ?? STREAM.maxEventBytes,
    ...more,
  };
}

/** What annotations say of how a Trigger or Subscription is delivered. */
export function subscriptionTerms({ metadata }: KubeObject): Pick<
  SubscriptionSpec,
  'orderedBy' | 'concurrency' | 'batch' | 'paused' | 'start'
> & {
  jitter: number;
  anyAnswer: boolean;
} {
  const { orderedBy, batchSize, batchWait, ...wishes } = subscriptionWishes(metadata.annotations);
  return {
    ...(orderedBy !== undefined && { orderedBy }),
    concurrency: wishes.concurrency ?? CONCURRENCY,
    ...(batchSize !== undefined && batchSize > 1 && { batch: { size: batchSize, waitMs: batchWait ?? 0 } }),
    paused: wishes.paused ?? false,
    start: wishes.start ?? 'latest',
    jitter: wishes.jitter ?? JITTER,
    anyAnswer: wishes.anyAnswer ?? false,
  };
}
