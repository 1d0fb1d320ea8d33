import { PetrelError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import {
  actionOf,
  ask,
  type InvocationView,
  idOf,
  isId,
  printList,
  printOne,
  targetQuery,
} from '../services/invocations.ts';

const DONE = { redrive: 'Back in the queue', purge: 'Thrown away' } as const;

/** Lists, shows, redrives and throws away what failed for good. */
export async function run(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const action = actionOf('dlq', args, ['list', 'show', 'redrive', 'purge']);
  if (action === 'list') {
    const query = targetQuery(args);
    query.set('state', 'failed,dead');
    query.set('limit', String(args.integer('limit') ?? 50));
    const { items } = await ask<{ items: InvocationView[] }>(context, 'GET', '/invocations', query);
    await printList(context, items, 'no dead letters');
    return 0;
  }
  if (action === 'show') {
    const query = new URLSearchParams({ id: idOf('dlq show', args) });
    await printOne(context, await ask<InvocationView>(context, 'GET', '/invocations/get', query));
    return 0;
  }
  const what = args.positionals[1];
  if (what === undefined && !args.flag('all')) {
    throw new PetrelError('InvalidArgument', `petrel dlq ${action} needs an id or a function`, {
      why: 'nobody said which',
      fix: `petrel dlq ${action} <id>, petrel dlq ${action} <function>, or --all for all of all namespaces`,
    });
  }
  const query = what !== undefined && isId(what) ? new URLSearchParams({ id: what }) : targetQuery(args);
  const answer = await ask<{ count: number }>(context, 'POST', `/dlq/${action}`, query);
  await out.data(answer, () => out.line(`${DONE[action]}: ${answer.count}`));
  return 0;
}
