import type { CommandContext } from '../command.ts';
import { age, readyCondition } from '../conditions.ts';
import { allDeployed, runsOn } from '../deployed.ts';
import { withSession } from '../session.ts';

/** Lists functions and services, one row each. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const all = args.flag('all');
  const namespace = all ? undefined : (args.text('namespace') ?? 'default');
  return withSession(home, async ({ client }) => {
    const items = await allDeployed(client, namespace);
    const now = Date.now();
    await out.data(items, () => {
      if (items.length === 0) return out.note('nothing is deployed; petrel deploy <file> changes that');
      const rows = items.map((item) => [
        ...(all ? [item.metadata.namespace ?? ''] : []),
        item.metadata.name,
        runsOn(item),
        readyCondition(item)?.status ?? 'Unknown',
        item.status?.latestReadyRevisionName ?? '',
        age(item.metadata.creationTimestamp, now),
        item.status?.url ?? '',
      ]);
      out.table([...(all ? ['NAMESPACE'] : []), 'NAME', 'RUNTIME', 'READY', 'REVISION', 'AGE', 'URL'], rows);
    });
    return 0;
  });
}
