/** The last lines that a function wrote during an invocation, for `LogType: Tail`. */
import { setTimeout as pause } from 'node:timers/promises';
import type { PetrelFunction } from '../../kinds/function.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { findLogs, type LogRequest, readLogs } from '../../kube/logs/index.ts';
import { linesOf, scopeOf } from '../../kube/logs/scope.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import type { KubeTransport } from '../../kube/transport.ts';

/** Bytes of the tail before it is encoded. Source: the Invoke operation's `LogType`. */
const MAX_TAIL = 4096;
const MAX_LINES = 200;
/** What was written last may be on its way: it is looked at until two looks agree. */
const LOOK_MS = 50;
const MAX_LOOKS = 10;

/** An invocation that is over. */
export interface Ended {
  namespace: string;
  name: string;
  id: string;
  version: string;
  /** Milliseconds since the epoch, and how long it took. */
  since: number;
  ms: number;
}

/** Base64. What other invocations wrote at the same time is among it. */
export async function logResult(
  api: { client: KubeClient; transport: KubeTransport },
  { namespace, name, id, version, since, ms }: Ended,
): Promise<string> {
  const fn = await orUndefined(api.client.get<PetrelFunction>(FUNCTIONS, namespace, name));
  const { only, ...scope } = await scopeOf(api.client, name, fn?.spec.runtime);
  const request: LogRequest = {
    ...api,
    scope: { namespace, ...scope },
    since,
    tail: MAX_LINES,
    keep: only === undefined ? undefined : () => linesOf(only),
  };
  const look = async () => {
    const lines: string[] = [];
    for await (const { text } of readLogs(request, await findLogs(request))) lines.push(text);
    return lines;
  };
  let lines = await look();
  for (let looks = 1; looks < MAX_LOOKS; looks++) {
    await pause(LOOK_MS);
    const again = await look();
    const settled = again.length === lines.length;
    lines = again;
    if (settled) break;
  }
  const text = [
    `START RequestId: ${id} Version: ${version}`,
    ...lines,
    `END RequestId: ${id}`,
    `REPORT RequestId: ${id}\tDuration: ${ms.toFixed(2)} ms\tBilled Duration: ${Math.ceil(ms)} ms\t`,
    '',
  ].join('\n');
  return Buffer.from(text).subarray(-MAX_TAIL).toString('base64');
}
