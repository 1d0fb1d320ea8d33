/** Logs of a function's instances, as they come. */
import type { Pod } from '../../kinds/pod.ts';
import { PODS, pathOf } from '../../kube/refs.ts';
import type { Output } from '../output.ts';
import type { Session } from '../session.ts';

export interface LogRequest {
  session: Session;
  out: Output;
  query: string;
  /** Several instances: each line says whose it is. */
  prefixed: boolean;
}

export const instancesOf = (name: string): string => `serving.knative.dev/service=${name}`;

/** Prints what every instance says, those that start later included, until the platform is gone. */
export async function followLogs(
  { session, out, query, prefixed }: LogRequest,
  namespace: string,
  name: string,
): Promise<never> {
  const labelSelector = instancesOf(name);
  const list = () => session.client.list<Pod>(PODS, { namespace, labelSelector });
  /** What is there may have said much; of an instance that comes later everything is wanted. */
  let following = ['follow=true', ...(query ? [query] : [])].join('&');
  const printing = new Set<string>();
  const begin = (pod: Pod) => {
    const uid = pod.metadata.uid ?? pod.metadata.name;
    if (printing.has(uid)) return;
    printing.add(uid);
    printLog({ session, out, query: following, prefixed }, pod).catch((error: Error) =>
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
export async function printLog({ session, out, query, prefixed }: LogRequest, pod: Pod): Promise<void> {
  const { namespace, name } = pod.metadata;
  const container = pod.spec.containers[0]?.name ?? '';
  const path = `${pathOf(PODS, namespace, name, 'log')}?container=${encodeURIComponent(container)}&${query}`;
  const response = await session.transport.request({ method: 'GET', path });
  const decoder = new TextDecoder();
  const prefix = prefixed ? `[${name.slice(-5)}] ` : '';
  let rest = '';
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (response.status >= 400) out.note(`${name}: ${line}`);
      else out.line(prefix + line);
    }
  }
  if (rest !== '') response.status >= 400 ? out.note(`${name}: ${rest}`) : out.line(prefix + rest);
}
