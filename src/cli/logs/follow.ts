/** Logs of a function's instances, as they come. */
import { FUNCTION_LABELS, type Runtime } from '../../kinds/function.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { runtimeGroup, serviceGroup } from '../../kube/logs/gone.ts';
import {
  findLogs,
  type LogRequest,
  type LogSource,
  followLogs as readAndFollow,
} from '../../kube/logs/index.ts';
import { RUNTIMES } from '../../kube/refs.ts';
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

export const instancesOf = (name: string): string => `serving.knative.dev/service=${name}`;

/** Where a function's lines are: in instances of its own, or among those of others in instances that its runtime shares. */
export async function sourceOf(
  client: KubeClient,
  object: Deployed,
): Promise<{ labelSelector: string; group: string; only?: string }> {
  const { name } = object.metadata;
  if (isFunction(object)) {
    const { runtime } = object.spec;
    const found = await orUndefined(client.get<Runtime>(RUNTIMES, undefined, runtime));
    if (found?.spec.share !== undefined)
      return {
        labelSelector: `${FUNCTION_LABELS.runtime}=${runtime}`,
        group: runtimeGroup(runtime),
        only: name,
      };
  }
  return { labelSelector: instancesOf(name), group: serviceGroup(name) };
}

/**
 * Keeps the lines of one function: those that begin with its name in brackets, and what follows them without a name of anybody. The
 * name is taken off.
 */
export function linesOf(name: string): (line: string) => string | undefined {
  let mine = false;
  return (line) => {
    const whose = /^\[([a-z0-9-]+)\] /.exec(line);
    if (whose !== null) mine = whose[1] === name;
    else if (line.startsWith('petrel: ')) mine = false;
    if (!mine) return undefined;
    return whose === null ? line : line.slice(whose[0].length);
  };
}

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
    refused: refusal(out),
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
