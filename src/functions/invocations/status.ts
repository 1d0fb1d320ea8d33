/** An invocation as clients see it, and the public paths that tell of it: who knows the id may ask, cancel and fetch the result. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerJson, Refusal } from './answers.ts';
import { bodyAsJson } from './body.ts';
import type { Dispatcher } from './dispatcher.ts';
import { STATUS_PATH } from './intake.ts';
import type { InvocationStore } from './store.ts';
import type { InvocationRow } from './types.ts';

/** Longest time that a client may wait for the end in one request, s. */
const LONGEST_WAIT_SECONDS = 60;
/** Result headers that would describe the connection rather than the result. */
const NOT_TOLD = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'date',
  'trailer',
  'upgrade',
]);

const time = (ms: number): string => new Date(ms).toISOString();

export interface StatusSource {
  store: InvocationStore;
  dispatcher: Dispatcher;
}

/** The JSON document of an invocation; bodies only when `full`. */
export function describe(
  { store, dispatcher }: StatusSource,
  row: InvocationRow,
  full: boolean,
): Record<string, unknown> {
  const [namespace, name] = row.target.split('/');
  const running = row.state === 'queued' && dispatcher.running(row.id, row.target);
  const result = full ? store.result(row.seq) : undefined;
  return {
    id: row.id,
    namespace,
    function: name,
    ...(row.url === null ? {} : { destination: row.url }),
    status: running ? 'running' : row.state,
    ...(row.reason === null ? {} : { reason: row.reason }),
    acceptedAt: time(row.acceptedAt),
    ...(row.state === 'queued' && !running ? { nextAttemptAt: time(row.due) } : {}),
    ...(row.finishedAt === null ? {} : { finishedAt: time(row.finishedAt) }),
    ...(row.depth === 0 ? {} : { depth: row.depth }),
    attempts: row.attempts.map(({ at, ...attempt }) => ({ at: time(at), ...attempt })),
    ...(result === undefined
      ? {}
      : {
          result: {
            status: result.status,
            headers: Object.fromEntries(result.headers.filter(([header]) => !NOT_TOLD.has(header))),
            ...bodyAsJson(result.body),
            ...(result.truncated ? { truncated: true } : {}),
          },
        }),
  };
}

const ID = /^[0-9a-f]{32}$/;

/** `GET /<id>[?wait=<seconds>]`, `GET /<id>/result`, `DELETE /<id>`, all below `STATUS_PATH`. */
export async function answerStatus(
  source: StatusSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { store, dispatcher } = source;
  const url = new URL(request.url ?? '/', 'http://platform');
  const [id = '', part, ...rest] = url.pathname.slice(STATUS_PATH.length + 1).split('/');
  const unknown = () => new Refusal('not_found', 'there is no such invocation, or it is over for long');
  if (!ID.test(id) || rest.length > 0 || (part !== undefined && part !== 'result')) throw unknown();
  await store.arriving(id);
  let row = store.get(id);
  if (row === undefined) throw unknown();
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (method === 'DELETE' && part === undefined) {
    if (!(await dispatcher.cancel(id))) throw new Refusal('conflict', `the invocation is over: ${row.state}`);
    row = store.get(id) ?? row;
  } else if (method !== 'GET')
    throw new Refusal('method_not_allowed', 'ask with GET, cancel with DELETE', {
      allow: 'GET, HEAD, DELETE',
    });
  const wait = Number(url.searchParams.get('wait') ?? 0);
  if (row.state === 'queued' && wait > 0) {
    await dispatcher.over(id, Math.min(wait, LONGEST_WAIT_SECONDS) * 1000);
    row = store.get(id) ?? row;
  }
  if (part === undefined)
    return answerJson(response, 200, describe(source, row, true), { 'cache-control': 'no-store' });
  const result = store.result(row.seq);
  if (result === undefined)
    throw new Refusal('not_found', `the invocation has no result: it is ${row.state}`);
  // Whatever a function answered is shown from the platform's own address: never as a page of it.
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': result.body.length,
    'content-disposition': 'attachment',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'x-petrel-result-status': result.status,
    'x-petrel-result-type': String(result.headers.find(([header]) => header === 'content-type')?.[1] ?? ''),
    ...(result.truncated ? { 'x-petrel-result-truncated': 'true' } : {}),
  });
  response.end(Buffer.from(result.body));
}
