/** Logs of a function's instances, as they come. */
import type { KubeClient } from '../../kube/client.ts';
import {
  findLogs,
  type LogRequest,
  type LogSource,
  followLogs as readAndFollow,
} from '../../kube/logs/index.ts';
import { instancesOf, linesOf, type Scoped, scopeOf } from '../../kube/logs/scope.ts';
import { type Deployed, isFunction } from '../deployed.ts';
import type { Output } from '../output.ts';
import type { Session } from '../session.ts';

export interface FollowRequest {
  session: Session;
  out: Output;
  /** Of what is there already; absent: all of it. */
  tail?: number | undefined;
  /** Several instances: each line says whose it is. */
  prefixed: boolean;
  /** The function whose lines are meant, where instances are shared. */
  only?: string | undefined;
  /** Gets each line instead of standard output. */
  print?: (line: string) => void;
}

export { instancesOf };

/** See `scopeOf`. */
export const sourceOf = (client: KubeClient, object: Deployed): Promise<Omit<Scoped, 'namespace'>> =>
  scopeOf(client, object.metadata.name, isFunction(object) ? object.spec.runtime : undefined);

/** Prints what every instance that exists says, those that start later included, until the platform is gone. */
export async function followLogs(
  request: FollowRequest,
  namespace: string,
  labelSelector: string,
): Promise<never> {
  const { session, out, tail, prefixed, only } = request;
  const told = request.print ?? ((line: string) => out.line(line));
  const logs: LogRequest = {
    client: session.client,
    transport: session.transport,
    scope: { namespace, labelSelector },
    tail,
    keep: only === undefined ? undefined : () => linesOf(only),
    refused(source, status, message) {
      // It has not begun: its log is followed once it has.
      if (status !== 400) refusal(out)(source, status, message);
    },
  };
  await readAndFollow(logs, await findLogs(logs), ({ source, text }) =>
    told(prefixed ? prefixOf(source) + text : text),
  );
  throw new Error('nobody follows any more');
}

/** Before a line, where several instances speak. */
export const prefixOf = ({ instance }: LogSource): string => `[${instance.slice(-5)}] `;

/** Says which log is not shown, unless it is one that is not there yet or not any more. */
export const refusal =
  (out: Output) =>
  (source: LogSource, status: number, message: string): void => {
    if (status === 404 || source.endedAt !== undefined) return;
    out.note(`${source.instance}: ${message}`);
  };

/** Characters that are printed at once, where there is so much. */
const PRINTED_AT_ONCE = 64 * 1024;

/** Lines of data on stdout: those that come together are written together. `flush` at the end. */
export function linePrinter(out: Output): { line(text: string): void; flush(): void } {
  let waiting = '';
  let soon: ReturnType<typeof setImmediate> | undefined;
  const flush = () => {
    if (soon) clearImmediate(soon);
    soon = undefined;
    if (waiting !== '') out.raw(waiting);
    waiting = '';
  };
  return {
    line(text) {
      waiting += `${text}\n`;
      if (waiting.length >= PRINTED_AT_ONCE) flush();
      else soon ??= setImmediate(flush);
    },
    flush,
  };
}
