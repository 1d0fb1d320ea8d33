/** An address that is asked now and then: what it says anew becomes events. */

import { sleep } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { newEvent } from '../../../cloudevents/event.ts';
import { backoffWait } from '../../../durable/schedule.ts';
import { invalid, required } from '../../../kinds/field.ts';
import type { FieldError, Json } from '../../../kinds/object.ts';
import type { SourceContext, SourceModule } from '../contract.ts';
import { at, digestOf, itemsOf, type PollState, unseen } from './poll.ts';

export interface HttpConfig {
  url: string;
  /** Default 60; at least 1. */
  intervalSeconds?: number;
  /** Default 30. */
  timeoutSeconds?: number;
  /** Sent along; values may come from Secrets. */
  headers?: Record<string, string>;
  /** JSON Pointer to a list, each new item of which is an event. Absent: the body as a whole, when it has changed. */
  items?: string;
  /** JSON Pointer in an item to what tells it from others. Absent: all of it. */
  id?: string;
  /** Tell of what is there at the first look. Default true. */
  initial?: boolean;
  /** Default `dev.petrel.http.changed`, for items `dev.petrel.http.item`. */
  type?: string;
  subject?: string;
}

/** Longest body, bytes. */
const MAX_BODY = 8 * 1024 * 1024;
const BACKOFF = { baseMs: 1000, capMs: 300_000, jitter: 0.2 };

function check(config: Record<string, Json>): FieldError[] {
  const { url, intervalSeconds, timeoutSeconds, headers, items, id } = config;
  const problems: FieldError[] = [];
  if (typeof url !== 'string' || url === '') problems.push(required('url'));
  else if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    problems.push(invalid('url', url, 'must be an http or https address'));
  for (const [name, value, least] of [
    ['intervalSeconds', intervalSeconds, 1],
    ['timeoutSeconds', timeoutSeconds, 0.001],
  ] as const)
    if (value !== undefined && (typeof value !== 'number' || !(value >= least) || value > 86_400 * 30))
      problems.push(invalid(name, value, `must be a number of seconds from ${least} on`));
  for (const [name, value] of Object.entries({ items, id }))
    if (value !== undefined && (typeof value !== 'string' || (value !== '' && !value.startsWith('/'))))
      problems.push(invalid(name, value, 'must be a JSON Pointer, such as /data/orders'));
  if (id !== undefined && items === undefined) problems.push(required('items', 'id is about its items'));
  const wrong =
    headers !== undefined &&
    (headers === null ||
      typeof headers !== 'object' ||
      Array.isArray(headers) ||
      Object.entries(headers).some(([name, value]) => !/^[\w-]+$/.test(name) || typeof value !== 'string'));
  if (wrong) problems.push(invalid('headers', '<hidden>', 'must be names and texts'));
  return problems;
}

/** The body, when there is one that is new to us. Rejects when the answer is none to use. */
async function look(
  config: HttpConfig,
  state: PollState,
  signal: AbortSignal,
): Promise<{ body: Buffer; type?: string; next: PollState } | undefined> {
  const response = await fetch(config.url, {
    headers: {
      accept: 'application/json, */*;q=0.5',
      'user-agent': 'petrel',
      ...(state.etag === undefined ? {} : { 'if-none-match': state.etag }),
      ...(state.modified === undefined ? {} : { 'if-modified-since': state.modified }),
      ...config.headers,
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout((config.timeoutSeconds ?? 30) * 1000)]),
  });
  if (response.status === 304) {
    await response.body?.cancel();
    return undefined;
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`it answered ${response.status}`);
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > MAX_BODY) throw new Error(`its answer is longer than ${MAX_BODY} bytes`);
    parts.push(part);
  }
  const { headers } = response;
  return {
    body: Buffer.concat(parts),
    type: headers.get('content-type') ?? undefined,
    next: {
      etag: headers.get('etag') ?? undefined,
      modified: headers.get('last-modified') ?? undefined,
      digest: state.digest,
      seen: state.seen,
    },
  };
}

async function start(context: SourceContext<HttpConfig>) {
  const { config, clock, signal } = context;
  const intervalMs = (config.intervalSeconds ?? 60) * 1000;
  const source = `/apis/petrel.dev/v1/namespaces/${context.namespace}/eventsources/${context.name}`;

  const tell = async (id: string, data: Buffer, contentType: string | undefined) => {
    const type =
      config.type ?? (config.items === undefined ? 'dev.petrel.http.changed' : 'dev.petrel.http.item');
    const fields = { id, type, source, subject: config.subject, datacontenttype: contentType, data };
    await context.emit(newEvent(fields, clock.now(), () => context.uuid()));
  };

  const poll = async () => {
    const known = context.checkpoint() as PollState | undefined;
    const found = await look(config, known ?? {}, signal);
    if (found === undefined) return;
    const quiet = known === undefined && config.initial === false;
    const { body, next } = found;
    if (config.items === undefined) {
      const digest = digestOf(body);
      if (digest !== known?.digest && !quiet) await tell(digest, body, found.type);
      await context.saveCheckpoint({ ...next, digest } as Json);
      return;
    }
    const items = itemsOf(at(JSON.parse(body.toString()) as Json, config.items), config.id);
    if (items === undefined) throw new Error(`there is no list at "${config.items}" of its answer`);
    const { fresh, seen } = unseen(items, known?.seen ?? []);
    for (const { id, value } of quiet ? [] : fresh)
      await tell(id, Buffer.from(JSON.stringify(value)), 'application/json');
    await context.saveCheckpoint({ ...next, seen } as Json);
  };

  const work = async () => {
    let failures = 0;
    while (!signal.aborted) {
      let wait = intervalMs;
      try {
        await poll();
        failures = 0;
        context.report({ ready: true, reason: 'Polling', message: '' });
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        wait = Math.max(intervalMs, backoffWait(failures, BACKOFF, context.random()));
        const why = messageOf((error as Error).cause ?? error) || String(error);
        context.report({ ready: false, reason: 'Unreachable', message: `${config.url}: ${why}` });
      }
      await sleep(clock, wait, signal);
    }
  };
  const working = work();
  return { stop: () => working };
}

/** The address is asked again when the platform ended before the sink had an event: the checkpoint is written behind it. */
export const httpSource: SourceModule<HttpConfig> = { type: 'http', durable: 'upstream', check, start };
