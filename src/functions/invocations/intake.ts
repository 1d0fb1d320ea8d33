/** Accepting a request: what it asks for, whether there is room, on disk, 202. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { ownText } from '../../durable/bytes.ts';
import { answerJson, Refusal, readBody } from './answers.ts';
import { type Dispatcher, newId } from './dispatcher.ts';
import { keptHeaders, MAX_DEPTH } from './policy.ts';
import type { InvocationStore } from './store.ts';
import type { HeaderLine, NewInvocation } from './types.ts';

/** Where the state of an invocation is told; the gateway leads it to the platform. */
export const STATUS_PATH = '/.petrel/invocations';

const LIMITS = {
  /** Bytes of one request, batches included. */
  body: 6 * 1024 * 1024,
  /** Elements of a batch. */
  batch: 10_000,
  /** Bytes of all requests that are being received or written. */
  memory: 64 * 1024 * 1024,
  /** Characters of a de-duplication key. */
  key: 256,
  /** Invocations of one function that wait. */
  queued: 1_000_000,
} as const;
/** How long a de-duplication key is remembered, ms. */
const DEDUP_MS = 24 * 3_600_000;

export interface Intake {
  /** Works on one request of the gateway; rejects with `Refusal` or `PetrelError`. */
  accept(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

const text = (value: string | string[] | undefined): string =>
  Array.isArray(value) ? (value[0] ?? '') : (value ?? '');

/** Bodies of a batch, one for each element. Throws `Refusal`. */
export function batchBodies(body: Buffer, contentType: string): Uint8Array[] {
  const lines = /^application\/(x-ndjson|jsonl|x-jsonlines)\b/i.test(contentType);
  let bodies: Uint8Array[];
  try {
    if (lines) {
      const all = body.toString('utf8').split('\n');
      bodies = all
        .filter((line) => line.trim() !== '')
        .map((line) => {
          JSON.parse(line);
          return ownText(line);
        });
    } else {
      const elements: unknown = JSON.parse(body.toString('utf8'));
      if (!Array.isArray(elements))
        throw new Refusal('bad_request', 'a batch is a JSON array, or lines of JSON (application/x-ndjson)');
      bodies = elements.map((element) => ownText(JSON.stringify(element)));
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal('bad_request', `the batch is not JSON: ${(error as Error).message}`);
  }
  if (bodies.length === 0) throw new Refusal('bad_request', 'the batch has no elements');
  if (bodies.length > LIMITS.batch)
    throw new Refusal(
      'body_too_large',
      `a batch has at most ${LIMITS.batch} elements, this one ${bodies.length}`,
    );
  return bodies;
}

/** How deep in a chain of invocations the request stands: one below the invocation whose header was passed on. */
function depthOf(header: string): number {
  if (header === '') return 0;
  const depth = /^\d{1,3}$/.test(header) ? Number(header) + 1 : 1;
  if (depth <= MAX_DEPTH) return depth;
  throw new Refusal('loop', `invocations have led to one another ${MAX_DEPTH} times: this looks like a loop`);
}

export function createIntake(options: {
  store: InvocationStore;
  dispatcher: Dispatcher;
  clock: Clock;
}): Intake {
  const { store, dispatcher, clock } = options;
  let held = 0;

  const enter = async (target: string, invocations: NewInvocation[]) => {
    if (dispatcher.queued(target) + invocations.length > LIMITS.queued)
      throw new Refusal('queue_full', `${LIMITS.queued} invocations of ${target} wait already`, {
        'retry-after': '10',
      });
    return store.accept(invocations);
  };

  return {
    async accept(request, response) {
      const { headers } = request;
      const target = text(headers['x-petrel-route']);
      if (!/^[^/\s]+\/[^/\s]+$/.test(target)) throw new Refusal('bad_request', 'x-petrel-route is missing');
      const key =
        text(headers['x-petrel-dedup-key']) ||
        text(headers['x-fission-dedup-key']) ||
        text(headers['idempotency-key']);
      if (key.length > LIMITS.key)
        throw new Refusal('bad_request', `a de-duplication key has at most ${LIMITS.key} characters`);
      const depth = depthOf(text(headers['x-petrel-invocation-depth']));
      const mine = { bytes: 0 };
      try {
        const body = await readBody(request, LIMITS.body, (bytes) => {
          if (held + bytes > LIMITS.memory)
            throw new Refusal('not_ready', 'too many requests are being accepted at once', {
              'retry-after': '1',
            });
          held += bytes;
          mine.bytes += bytes;
        });
        const now = clock.now();
        const kept = keptHeaders(request.rawHeaders);
        const make = (part: Uint8Array, lines: HeaderLine[], dedup: string): NewInvocation => ({
          id: newId(),
          target,
          url: null,
          acceptedAt: now,
          due: now,
          depth,
          request: { method: request.method ?? 'POST', path: request.url ?? '/', headers: lines, body: part },
          ...(dedup === '' ? {} : { dedup: { key: dedup, until: now + DEDUP_MS } }),
        });
        if (text(headers['x-petrel-invoke-mode']).toLowerCase() !== 'batch') {
          const [one] = await enter(target, [make(body, kept, key)]);
          tell(response, one as { id: string; duplicate: boolean }, asksAsFission(headers));
          return;
        }
        const lines = kept.filter(([name]) => name.toLowerCase() !== 'content-type');
        lines.push(['content-type', 'application/json']);
        const bodies = batchBodies(body, text(headers['content-type']));
        const all = bodies.map((part, i) => make(part, lines, key === '' ? '' : `${key}#${i}`));
        const accepted = await enter(target, all);
        answerJson(response, 202, {
          invocations: accepted.map(({ id, duplicate }) => ({
            id,
            ...(duplicate ? { duplicate } : {}),
            location: `${STATUS_PATH}/${id}`,
          })),
        });
      } finally {
        held -= mine.bytes;
      }
    },
  };
}

/** Fission's clients, and callers of its triggers, look for the id under Fission's name. */
const asksAsFission = (headers: IncomingHttpHeaders): boolean =>
  headers['x-fission-invoke-mode'] !== undefined || headers['x-fission-function-name'] !== undefined;

function tell(
  response: ServerResponse,
  { id, duplicate }: { id: string; duplicate: boolean },
  fission: boolean,
): void {
  const location = `${STATUS_PATH}/${id}`;
  answerJson(
    response,
    202,
    { id, ...(duplicate ? { duplicate } : {}), location },
    {
      'x-petrel-invocation-id': id,
      ...(fission ? { 'x-fission-invocation-id': id } : {}),
      location,
      ...(duplicate ? { 'x-petrel-duplicate': 'true' } : {}),
    },
  );
}
