import { PetrelError } from '../../base/errors.ts';
import type { SubscriptionState } from '../../eventing/model.ts';
import { parseIsoDuration } from '../../kinds/eventing/iso-duration.ts';
import { WISH_GROUP } from '../../kinds/eventing/wishes.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeClient } from '../../kube/client.ts';
import { TRIGGERS } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { known, put, settled } from '../events/apply.ts';
import { askEventsIfAny } from '../events/ask.ts';
import { checkExpressions } from '../events/check.ts';
import { destinationOf, ensureBroker } from '../events/destination.ts';
import { parseFilter } from '../events/on.ts';
import { shortReason } from '../events/show.ts';
import { triggerView } from '../events/views.ts';
import { actionOf } from '../services/invocations.ts';
import { withSession } from '../session.ts';

/** Lists, creates, deletes, pauses and resumes triggers. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const action = actionOf('trigger', args, ['list', 'create', 'delete', 'pause', 'resume']);
  const namespace = args.text('namespace') ?? 'default';
  const name = args.optional(1);
  if (action !== 'list' && name === undefined)
    throw new PetrelError('InvalidArgument', `petrel trigger ${action} needs a name`, {
      fix:
        action === 'create'
          ? 'petrel trigger create paid --filter type=com.shop.paid --to shipping'
          : 'petrel trigger list',
    });
  return withSession(home, async ({ client }) => {
    if (action === 'list' || name === undefined) {
      const where = args.flag('all') ? {} : { namespace };
      const [{ items }, counts] = await Promise.all([
        client.list<UntypedObject>(TRIGGERS, where),
        // On a cluster somebody else may deliver: then nothing is known of it here.
        askEventsIfAny({ home }, 'subscriptions', where, {}),
      ]);
      const views = items.map((item) => ({ ...triggerView(item), ...countsOf(counts, item) }));
      await out.data(views, () => {
        if (items.length === 0) return out.note('no triggers; petrel trigger create --help');
        out.table(
          ['NAMESPACE', 'NAME', 'BROKER', 'FILTER', 'TO', 'READY', 'WAITING', 'DELIVERED', 'DEAD', 'REASON'],
          views.map((row) => [
            row.namespace,
            row.name,
            row.broker,
            row.filter,
            row.to,
            row.paused ? 'Paused' : row.ready,
            ...[row.waiting, row.delivered, row.dead].map((count) => (count === null ? '' : String(count))),
            row.message || (row.lastError ? `last failure: ${shortReason(row.lastError)}` : ''),
          ]),
        );
      });
      return 0;
    }
    if (action === 'delete') {
      await known(client.delete(TRIGGERS, namespace, name), 'trigger', name);
      await out.data({ name, namespace, deleted: true }, () =>
        out.line(`${name} is deleted; its events stay in the broker`),
      );
      return 0;
    }
    const written =
      action === 'create'
        ? await settled(client, args, await create(client, args, namespace, name))
        : await known(
            client.patch<UntypedObject>(TRIGGERS, namespace, name, 'merge', {
              metadata: { annotations: { [`${WISH_GROUP}paused`]: action === 'pause' ? 'true' : null } },
            }),
            'trigger',
            name,
          );
    const view = triggerView(written);
    await out.data(view, () => {
      const what = view.filter === '' ? 'every event' : `events with ${view.filter}`;
      out.line(
        {
          create: `${name} brings ${what} of broker ${view.broker} to ${view.to}`,
          pause: `${name} is paused: events wait`,
          resume: `${name} is resumed`,
        }[action],
      );
      if (action === 'create' && view.message !== '') out.note(`It does not work yet: ${view.message}`);
    });
    return 0;
  });
}

async function create(
  client: KubeClient,
  args: Args,
  namespace: string,
  name: string,
): Promise<UntypedObject> {
  const to = args.text('to');
  if (to === undefined)
    throw new PetrelError('InvalidArgument', '--to is missing', {
      why: 'nobody said where the events go',
      fix: `petrel trigger create ${name} --to <function>`,
    });
  const broker = args.text('broker') ?? 'default';
  const cesql = args.text('cesql');
  const filters: Json[] = args.list('filter').flatMap(parseFilter);
  if (cesql !== undefined) filters.push({ cesql });
  await checkExpressions(filters);
  const backoff = args.text('backoff');
  if (backoff !== undefined && parseIsoDuration(backoff) === undefined)
    throw new PetrelError('InvalidArgument', `--backoff ${backoff} is no duration`, {
      why: 'durations of deliveries are those of ISO 8601',
      fix: '--backoff PT0.5S, --backoff PT10S, --backoff PT1M',
    });
  const deadLetter = args.text('dead-letter');
  const retry = args.integer('retry');
  const delivery = {
    ...(retry === undefined
      ? {}
      : { retry, backoffPolicy: 'exponential', backoffDelay: backoff ?? 'PT0.2S' }),
    ...(deadLetter === undefined
      ? {}
      : { deadLetterSink: await destinationOf(client, namespace, deadLetter) }),
  };
  const wishes: Record<string, string | number | undefined> = {
    'ordered-by': args.text('ordered-by'),
    concurrency: args.integer('concurrency'),
    'batch-size': args.integer('batch'),
    start: args.text('start'),
  };
  const annotations = Object.fromEntries(
    Object.entries(wishes).flatMap(([key, value]) =>
      value === undefined ? [] : [[WISH_GROUP + key, String(value)]],
    ),
  );
  const subscriber = await destinationOf(client, namespace, to);
  await ensureBroker(client, namespace, broker);
  return put(client, TRIGGERS, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name, namespace, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    ...{
      spec: {
        broker,
        ...(filters.length > 0 ? { filters } : {}),
        subscriber,
        ...(Object.keys(delivery).length > 0 ? { delivery } : {}),
      },
    },
  });
}

/** What the engine has counted since it began. */
function countsOf(counts: Record<string, SubscriptionState>, { metadata }: UntypedObject) {
  const state = counts[`trigger/${metadata.namespace ?? 'default'}/${metadata.name}`];
  const { delivered = null, waiting = null, retried = null, dead = null, lastError } = state ?? {};
  return { waiting, delivered, retried, dead, lastError: lastError?.message ?? null };
}
