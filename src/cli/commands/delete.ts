import { KubeError } from '../../kube/client.ts';
import { FUNCTIONS, KSERVICES } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { deployedAs, isFunction } from '../deployed.ts';
import { type Session, withSession } from '../session.ts';

/** Deletes a function or service; waits until what carries its name is gone, so that the next deploy starts afresh. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async (session) => {
    const object = await deployedAs(session.client, namespace, name);
    const { uid } = object.metadata;
    const resource = isFunction(object) ? FUNCTIONS : KSERVICES;
    const propagationPolicy = args.flag('no-wait') ? 'Background' : 'Foreground';
    await session.client.delete(resource, namespace, name, { propagationPolicy, preconditions: { uid } });
    if (!args.flag('no-wait')) await out.progress(`deleting ${name}`, gone(session, namespace, name, uid));
    await out.data({ name, namespace, deleted: true }, () => out.line(`deleted ${namespace}/${name}`));
    return 0;
  });
}

async function gone(
  { client }: Session,
  namespace: string,
  name: string,
  uid: string | undefined,
): Promise<void> {
  const fieldSelector = `metadata.name=${name}`;
  for (const resource of [FUNCTIONS, KSERVICES]) {
    const { items, resourceVersion } = await client.list(resource, { namespace, fieldSelector });
    const ours = items.find(
      ({ metadata }) => metadata.uid === uid || metadata.ownerReferences?.some((owner) => owner.uid === uid),
    );
    if (!ours) continue;
    const stop = new AbortController();
    for await (const event of client.watch(resource, {
      namespace,
      fieldSelector,
      resourceVersion,
      signal: stop.signal,
    })) {
      if (event.type === 'ERROR')
        throw new KubeError(event.object.code ?? 500, event.object.reason ?? '', event.object.message ?? '');
      if (event.type === 'DELETED') break;
    }
    stop.abort();
  }
}
