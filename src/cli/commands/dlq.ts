import { PetrelError } from '../../base/errors.ts';
import type { DeadLetter, Questions } from '../../eventing/model.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { askEvents, askEventsIfAny } from '../events/ask.ts';
import { subscriptionKey } from '../events/keys.ts';
import { eventLetter, merged, printLetters } from '../events/letters.ts';
import { letterNumber, printLetter } from '../events/show.ts';
import { actionOf, ask, type InvocationView, isId, printOne, targetQuery } from '../services/invocations.ts';

const DONE = { redrive: 'Back in the queue', purge: 'Thrown away' } as const;
const USUAL = 50;

/** Lists, shows, redrives and throws away what failed for good: invocations and deliveries of events. */
export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const action = actionOf('dlq', args, ['list', 'show', 'redrive', 'purge']);
  if (action === 'list') return list(context);
  if (action === 'show') return show(context);
  return change(context, action);
}

/** A name with a slash is a subscription: only events died on the way to it. One without is a function. */
const isSubscription = (what: string | undefined): what is string => what?.includes('/') === true;

/** Which events the command line means. */
function subscriptionsOf(args: Args): { subscription?: string; namespace?: string } {
  const [, what] = args.positionals;
  const namespace = args.text('namespace') ?? 'default';
  if (isSubscription(what)) return { subscription: subscriptionKey(what, namespace) };
  return args.flag('all') ? {} : { namespace };
}

async function list(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const [, what] = args.positionals;
  const limit = args.integer('limit') ?? USUAL;
  const query = targetQuery(args);
  query.set('state', 'failed,dead');
  query.set('limit', String(limit));
  const [invocations, events] = await Promise.all([
    isSubscription(what)
      ? []
      : ask<{ items: InvocationView[] }>(context, 'GET', '/invocations', query).then(({ items }) => items),
    what !== undefined && !isSubscription(what)
      ? []
      : askEventsIfAny(context, 'dead', { ...subscriptionsOf(args), limit, newest: true }, []),
  ]);
  const letters = merged(invocations, events, limit);
  await out.data(letters, () =>
    letters.length === 0 ? out.note('no dead letters') : printLetters(out, letters, args.flag('all')),
  );
  return 0;
}

async function show(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const id = args.positionals[1] ?? '';
  const number = letterNumber(id);
  if (number !== undefined) {
    const letter = await letterOf(context, number);
    await out.data(eventLetter(letter), () => printLetter(out, letter));
    return 0;
  }
  if (!isId(id))
    throw new PetrelError('InvalidArgument', 'petrel dlq show needs the id of a dead letter', {
      why: id === '' ? 'none was given' : `"${id}" is none: ids are 32 hexadecimal digits, or e and a number`,
      fix: 'petrel dlq list shows them',
    });
  const query = new URLSearchParams({ id });
  await printOne(context, await ask<InvocationView>(context, 'GET', '/invocations/get', query));
  return 0;
}

async function letterOf(context: CommandContext, number: number): Promise<DeadLetter> {
  const [letter] = await askEventsIfAny(context, 'dead', { after: number - 1, limit: 1 }, []);
  if (letter?.id === number) return letter;
  throw new PetrelError('NotFound', `there is no dead letter "e${number}"`, {
    fix: 'petrel dlq list shows those there are',
  });
}

async function change(context: CommandContext, action: 'redrive' | 'purge'): Promise<number> {
  const { args, out } = context;
  const [, what] = args.positionals;
  if (what === undefined && !args.flag('all')) {
    throw new PetrelError('InvalidArgument', `petrel dlq ${action} needs an id, a function or a trigger`, {
      why: 'nobody said which',
      fix: `petrel dlq ${action} <id>, petrel dlq ${action} <function>, petrel dlq ${action} trigger/<name>, or --all for all of all namespaces`,
    });
  }
  const number = what === undefined ? undefined : letterNumber(what);
  const events = (input: Questions['redrive']['input']) => askEvents(context, action, input);
  let count = 0;
  if (number !== undefined) {
    await letterOf(context, number);
    count = await events({ ids: [number] });
    if (count === 0)
      throw new PetrelError('Conflict', `e${number} cannot be delivered again`, {
        why: 'the subscription that it died on the way to is gone',
        fix: `make it again under its name, or petrel dlq purge e${number}`,
      });
  } else if (isSubscription(what)) {
    count = await events(subscriptionsOf(args));
  } else {
    const query = what !== undefined && isId(what) ? new URLSearchParams({ id: what }) : targetQuery(args);
    ({ count } = await ask<{ count: number }>(context, 'POST', `/dlq/${action}`, query));
    if (what === undefined) count += await askEventsIfAny(context, action, {}, 0);
  }
  await out.data({ count }, () =>
    count === 0
      ? out.note(
          what === undefined ? 'no dead letters' : `no dead letters of ${what}; petrel dlq list -A shows all`,
        )
      : out.line(`${DONE[action]}: ${count}`),
  );
  return 0;
}
