import type { PetrelFunction } from '../../kinds/function.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { age, readyCondition } from '../conditions.ts';
import { withSession } from '../session.ts';

/** Lists functions, one row each. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const all = args.flag('all');
  const namespace = all ? undefined : (args.text('namespace') ?? 'default');
  return withSession(home, async ({ client }) => {
    const { items } = await client.list<PetrelFunction>(FUNCTIONS, { namespace });
    const now = Date.now();
    await out.data(items, () => {
      if (items.length === 0) return out.note('no functions; petrel deploy <file> makes one');
      const rows = items.map(({ metadata, spec, status, ...rest }) => [
        ...(all ? [metadata.namespace ?? ''] : []),
        metadata.name,
        spec.runtime,
        readyCondition({ metadata, status, ...rest })?.status ?? 'Unknown',
        status?.latestReadyRevisionName ?? '',
        age(metadata.creationTimestamp, now),
        status?.url ?? '',
      ]);
      out.table([...(all ? ['NAMESPACE'] : []), 'NAME', 'RUNTIME', 'READY', 'REVISION', 'AGE', 'URL'], rows);
    });
    return 0;
  });
}
