/** Logs of a function's instances, as they come. */
import { FUNCTION_LABELS, type Runtime } from '../../kinds/function.ts';
import type { Pod } from '../../kinds/pod.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { PODS, pathOf, RUNTIMES } from '../../kube/refs.ts';
import { type Deployed, isFunction } from '../deployed.ts';
import type { Output } from '../output.ts';
import type { Session } from '../session.ts';

export interface LogRequest {
  session: Session;
  out: Output;
  query: string;
  /** Several instances: each line says whose it is. */
  prefixed: boolean;
  /** The function whose lines are meant, where instances are shared. */
  only?: string | undefined;
}

export const instancesOf = (name: string): string => `serving.knative.dev/service=${name}`;

/** Where a function's lines are: in instances of its own, or among those of others in instances that its runtime shares. */
export async function sourceOf(
  client: KubeClient,
  object: Deployed,
): Promise<{ labelSelector: string; only?: string }> {
  const { name } = object.metadata;
  if (isFunction(object)) {
    const { runtime } = object.spec;
    const found = await orUndefined(client.get<Runtime>(RUNTIMES, undefined, runtime));
    if (found?.spec.share !== undefined)
      return { labelSelector: `${FUNCTION_LABELS.runtime}=${runtime}`, only: name };
  }
  return { labelSelector: instancesOf(name) };
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

/** Prints what every instance says, those that start later included, until the platform is gone. */
export async function followLogs(
  { session, out, query, prefixed, only }: LogRequest,
  namespace: string,
  labelSelector: string,
): Promise<never> {
  const list = () => session.client.list<Pod>(PODS, { namespace, labelSelector });
  /** What is there may have said much; of an instance that comes later everything is wanted. */
  let following = ['follow=true', ...(query ? [query] : [])].join('&');
  const printing = new Set<string>();
  const begin = (pod: Pod) => {
    const uid = pod.metadata.uid ?? pod.metadata.name;
    if (printing.has(uid)) return;
    printing.add(uid);
    printLog({ session, out, query: following, prefixed, only }, pod).catch((error: Error) =>
      out.note(`${pod.metadata.name}: ${error.message}`),
    );
  };
  // A server ends a watch now and then; only when the platform is gone there is nothing more to follow.
  for (;;) {
    const { items, resourceVersion } = await list();
    items.forEach(begin);
    following = 'follow=true';
    const watch = session.client.watch<Pod>(PODS, { namespace, labelSelector, resourceVersion });
    for await (const event of watch)
      if (event.type === 'ADDED' || event.type === 'MODIFIED') begin(event.object);
  }
}

/** Prints one instance's log. */
export async function printLog({ session, out, query, prefixed, only }: LogRequest, pod: Pod): Promise<void> {
  const { namespace, name } = pod.metadata;
  const container = pod.spec.containers[0]?.name ?? '';
  const path = `${pathOf(PODS, namespace, name, 'log')}?container=${encodeURIComponent(container)}&${query}`;
  const response = await session.transport.request({ method: 'GET', path });
  const decoder = new TextDecoder();
  const prefix = prefixed ? `[${name.slice(-5)}] ` : '';
  const keep = only === undefined ? undefined : linesOf(only);
  const print = (line: string) => {
    const kept = response.status >= 400 || !keep ? line : keep(line);
    if (response.status >= 400) out.note(`${name}: ${line}`);
    else if (kept !== undefined) out.line(prefix + kept);
  };
  let rest = '';
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(print);
  }
  if (rest !== '') print(rest);
}
