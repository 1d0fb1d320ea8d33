/** Where a function's lines are: in instances of its own, or among those of others in instances that its runtime shares. */
import { FUNCTION_LABELS, type Runtime } from '../../kinds/function.ts';
import { type KubeClient, orUndefined } from '../client.ts';
import { RUNTIMES } from '../refs.ts';
import { runtimeGroup, serviceGroup } from './gone.ts';
import type { LogScope } from './sources.ts';

export const instancesOf = (name: string): string => `serving.knative.dev/service=${name}`;

export interface Scoped extends Omit<LogScope, 'namespace'> {
  group: string;
  /** The function whose lines are meant, where instances are shared: see `linesOf`. */
  only?: string;
}

/** `runtime` is a Function's; of a Service it is absent. */
export async function scopeOf(
  client: KubeClient,
  name: string,
  runtime: string | undefined,
): Promise<Scoped> {
  const found =
    runtime === undefined ? undefined : await orUndefined(client.get<Runtime>(RUNTIMES, undefined, runtime));
  if (runtime === undefined || found?.spec.share === undefined)
    return { labelSelector: instancesOf(name), group: serviceGroup(name) };
  const labelSelector = `${FUNCTION_LABELS.runtime}=${runtime}`;
  return { labelSelector, group: runtimeGroup(runtime), only: name };
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
