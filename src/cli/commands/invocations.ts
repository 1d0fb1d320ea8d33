import type { CommandContext } from '../command.ts';
import {
  actionOf,
  ask,
  type InvocationView,
  idOf,
  printList,
  printOne,
  targetQuery,
} from '../services/invocations.ts';

/** Lists, shows and cancels asynchronous invocations. */
export async function run(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const action = actionOf('invocations', args, ['list', 'get', 'cancel']);
  if (action === 'list') {
    const query = targetQuery(args);
    const state = args.text('state');
    if (state !== undefined) query.set('state', state);
    query.set('limit', String(args.integer('limit') ?? 50));
    const { items } = await ask<{ items: InvocationView[] }>(context, 'GET', '/invocations', query);
    await printList(context, items, 'no asynchronous invocations; petrel invoke <name> --async makes one');
    return 0;
  }
  const id = idOf(`invocations ${action}`, args);
  const query = new URLSearchParams({ id });
  if (action === 'get') {
    await printOne(context, await ask<InvocationView>(context, 'GET', '/invocations/get', query));
    return 0;
  }
  const answer = await ask(context, 'POST', '/invocations/cancel', query);
  await out.data(answer, () => out.line(`Cancelled ${id}`));
  return 0;
}
