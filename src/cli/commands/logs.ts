import type { Pod } from '../../kinds/pod.ts';
import { PODS, pathOf } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { deployedAs } from '../deployed.ts';
import type { Output } from '../output.ts';
import { type Session, withSession } from '../session.ts';

interface LogRequest {
  session: Session;
  out: Output;
  query: string;
  /** Several instances: each line says whose it is. */
  prefixed: boolean;
}

/** Prints the logs of a function's instances, following those that start later when asked to. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const follow = args.flag('follow');
  const tail = args.integer('tail');
  return withSession(home, async (session) => {
    await deployedAs(session.client, namespace, name);
    const labelSelector = `serving.knative.dev/service=${name}`;
    const list = () => session.client.list<Pod>(PODS, { namespace, labelSelector });
    const parameters = [
      ...(follow ? ['follow=true'] : []),
      ...(tail === undefined ? [] : [`tailLines=${tail}`]),
    ];
    const query = parameters.join('&');
    let { items, resourceVersion } = await list();
    if (!follow) {
      if (items.length === 0) out.note(`${name} has no instance now; petrel logs -f ${name} waits for one`);
      for (const pod of items) await printLog({ session, out, query, prefixed: items.length > 1 }, pod);
      return 0;
    }
    const printing = new Set<string>();
    const begin = (pod: Pod) => {
      const uid = pod.metadata.uid ?? pod.metadata.name;
      if (printing.has(uid)) return;
      printing.add(uid);
      printLog({ session, out, query, prefixed: true }, pod).catch((error: Error) =>
        out.note(`${pod.metadata.name}: ${error.message}`),
      );
    };
    if (items.length === 0) out.note(`waiting for an instance of ${name} ...`);
    // A server ends a watch now and then; only when the platform is gone there is nothing more to follow.
    for (;;) {
      items.forEach(begin);
      for await (const event of session.client.watch<Pod>(PODS, {
        namespace,
        labelSelector,
        resourceVersion,
      })) {
        if (event.type === 'ADDED' || event.type === 'MODIFIED') begin(event.object);
      }
      ({ items, resourceVersion } = await list());
    }
  });
}

async function printLog({ session, out, query, prefixed }: LogRequest, pod: Pod): Promise<void> {
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
