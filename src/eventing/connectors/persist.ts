/** Holds on to a server that may be away: tries again with back-off, and tells how it goes. */
import { type Clock, sleep } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type Backoff, backoffWait } from '../../durable/schedule.ts';

const BACKOFF: Backoff = { baseMs: 200, capMs: 30_000, jitter: 0.3 };

export interface PersistOptions {
  clock: Clock;
  random(): number;
  log: Logger;
  signal: AbortSignal;
  report(state: { ready: boolean; reason: string; message: string }): void;
  /** What is held on to, for people: `Kafka at broker:9092`. Without secrets. */
  what: string;
  /** A CamelCase reason for an error of this client, where it is better than the general one. */
  reasonOf?(error: unknown): string | undefined;
}

/**
 * Runs `session` again and again until `signal` aborts: it connects, calls `up` once it works, and rejects when the connection is lost.
 * A session that was up for a while begins the back-off anew. Never rejects.
 */
export async function persist(
  options: PersistOptions,
  session: (up: (message?: string) => void) => Promise<void>,
): Promise<void> {
  const { clock, random, log, signal, report, what } = options;
  let failures = 0;
  report({ ready: false, reason: 'Connecting', message: `connecting to ${what}` });
  while (!signal.aborted) {
    let upAt: number | undefined;
    try {
      await session((message) => {
        upAt ??= clock.monotonic();
        report({ ready: true, reason: 'Connected', message: message ?? `connected to ${what}` });
      });
      if (signal.aborted) return;
      throw new Error('the connection was closed');
    } catch (error) {
      if (signal.aborted) return;
      // One that connects and is thrown out at once must not be asked at full speed.
      failures = upAt !== undefined && clock.monotonic() - upAt > 5000 ? 1 : failures + 1;
      const reason = options.reasonOf?.(error) ?? reasonOf(error);
      const message = `${what}: ${saying(error)}`;
      report({ ready: false, reason, message });
      log.warn('a source or sink has lost its server, or cannot reach it', {
        what,
        reason,
        why: saying(error),
        failures,
      });
      await sleep(clock, backoffWait(failures, BACKOFF, random()), signal);
    }
  }
}

/** What an error says, with what it was caused by: clients wrap the telling part. */
export function saying(error: unknown): string {
  const parts: string[] = [];
  for (const one of causes(error)) {
    const text = messageOf(one);
    if (text !== '' && !parts.some((part) => part.includes(text))) parts.push(text);
  }
  return parts.slice(0, 4).join(': ').slice(0, 500) || 'unknown error';
}

/** An error, its causes and the errors that it gathers, outermost first. */
export function* causes(error: unknown, depth = 0): Generator<unknown> {
  if (error === undefined || error === null || depth > 6) return;
  yield error;
  if (!(error instanceof Error)) return;
  if (error instanceof AggregateError || 'errors' in error) {
    const inner = (error as AggregateError).errors;
    if (Array.isArray(inner)) for (const one of inner) yield* causes(one, depth + 1);
  }
  yield* causes(error.cause, depth + 1);
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EAI_AGAIN',
]);
const DENIED =
  /auth|password|credential|permission|denied|not allowed|WRONGPASS|NOAUTH|NOPERM|SASL|certificate/i;

/** The reason in a condition that an error of any client comes to. */
export function reasonOf(error: unknown): 'Unreachable' | 'Unauthorized' | 'ConnectionLost' {
  let reason: 'Unreachable' | 'ConnectionLost' = 'ConnectionLost';
  for (const one of causes(error)) {
    if (UNREACHABLE.has(String((one as { code?: unknown }).code))) reason = 'Unreachable';
    else if (DENIED.test(messageOf(one))) return 'Unauthorized';
  }
  return reason;
}
