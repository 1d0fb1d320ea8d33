import type { Pod } from '../../kinds/pod.ts';
import { PODS } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { deployedAs } from '../deployed.ts';
import { followLogs, printLog, sourceOf } from '../logs/follow.ts';
import { withSession } from '../session.ts';

/** Prints the logs of a function's instances, following those that start later when asked to. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const follow = args.flag('follow');
  const tail = args.integer('tail');
  return withSession(home, async (session) => {
    const object = await deployedAs(session.client, namespace, name);
    const { labelSelector, only } = await sourceOf(session.client, object);
    const query = tail === undefined ? '' : `tailLines=${tail}`;
    const { items } = await session.client.list<Pod>(PODS, { namespace, labelSelector });
    if (!follow) {
      if (items.length === 0) out.note(`${name} has no instance now; petrel logs -f ${name} waits for one`);
      for (const pod of items)
        await printLog({ session, out, query, prefixed: items.length > 1 && !only, only }, pod);
      return 0;
    }
    if (items.length === 0) out.note(`waiting for an instance of ${name} ...`);
    return followLogs({ session, out, query, prefixed: !only, only }, namespace, labelSelector);
  });
}
