/** `GET /system/logs`: lines of a function's instances as NDJSON. Source: openfaas/faas-provider, `logs/handler.go`. */
import type { ServerResponse } from 'node:http';
import { roomIn } from '../../base/room.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { findLogs, followLogs, type LogEntry, type LogRequest, readLogs } from '../../kube/logs/index.ts';
import { linesOf, scopeOf } from '../../kube/logs/scope.ts';
import { FUNCTIONS, KSERVICES } from '../../kube/refs.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import type { Answer } from './rest.ts';
import { namespaceOf, parseName } from './translate.ts';

/** What a query asks for; undefined when upstream would not understand it. */
export interface LogQuery {
  name: string;
  namespace: string;
  instance?: string;
  /** Absent: all. */
  tail?: number;
  since?: number;
  follow: boolean;
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
/** RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

export function parseLogQuery(query: URLSearchParams): LogQuery | undefined {
  // Of several the last counts, as upstream.
  const value = (key: string) => query.getAll(key).at(-1) ?? '';
  const tail = value('tail');
  const time = value('since');
  const since = TIME.test(time) ? Date.parse(time) : Number.NaN;
  if ((tail !== '' && !/^[+-]?\d{1,9}$/.test(tail)) || (time !== '' && Number.isNaN(since))) return undefined;
  const named = parseName(value('name'));
  const namespace = value('namespace');
  return {
    name: named?.name ?? value('name'),
    namespace: namespace === '' ? (named?.namespace ?? 'default') : namespaceOf(namespace),
    ...(value('instance') === '' ? {} : { instance: value('instance') }),
    ...(Number(tail) > 0 ? { tail: Number(tail) } : {}),
    ...(time === '' ? {} : { since }),
    follow: TRUE.has(value('follow')),
  };
}

/** Answers, or says what is wrong. Following ends when the client leaves. */
export async function answerLogs(
  { client, transport }: { client: KubeClient; transport: KubeTransport },
  query: URLSearchParams,
  response: ServerResponse,
): Promise<Answer | undefined> {
  const asked = parseLogQuery(query);
  if (asked === undefined) return { status: 422, body: 'could not parse the log request' };
  const { name, namespace, follow, ...which } = asked;
  if (name === '') return { status: 400, body: 'name: must be the name of the function' };
  const [service, fn] = await Promise.all([
    orUndefined(client.get(KSERVICES, namespace, name)),
    orUndefined(client.get<PetrelFunction>(FUNCTIONS, namespace, name)),
  ]);
  if (service === undefined && fn === undefined) return { status: 404, body: `function ${name} not found` };
  const { only, ...scope } = await scopeOf(client, name, fn?.spec.runtime);
  const left = new AbortController();
  response.on('close', () => left.abort());
  const request: LogRequest = {
    client,
    transport,
    scope: { namespace, ...scope },
    ...which,
    keep: only === undefined ? undefined : () => linesOf(only),
    signal: left.signal,
  };
  const view = await findLogs(request);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  // Who follows a function that is silent must see that it is heard.
  response.flushHeaders();
  const print = async ({ source, time, text }: LogEntry): Promise<void> => {
    const message = { name, namespace, instance: source.instance, timestamp: time, text };
    if (!response.write(`${JSON.stringify(message)}\n`)) await roomIn(response);
    left.signal.throwIfAborted();
  };
  try {
    if (follow) await followLogs(request, view, print);
    else for await (const entry of readLogs(request, view)) await print(entry);
  } catch (error) {
    if (!left.signal.aborted) throw error;
  }
  response.end();
  return undefined;
}
