import { PetrelError } from '../../base/errors.ts';
import type { SubscriptionState } from '../../eventing/model.ts';
import { parseIsoDuration } from '../../kinds/eventing/iso-duration.ts';
import { WISH_GROUP } from '../../kinds/eventing/wishes.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeClient } from '../../kube/client.ts';
import { TRIGGERS } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { put } from '../events/apply.ts';
import { askEventsIfAny } from '../events/ask.ts';
import { checkExpressions } from '../events/check.ts';
import { destinationOf, ensureBroker } from '../events/destination.ts';
import { type KindCommand, runKindCommand } from '../events/kind-command.ts';
import { parseFilter } from '../events/on.ts';
import { shortReason } from '../events/show.ts';
import { triggerView } from '../events/views.ts';

type View = ReturnType<typeof triggerView>;
type Row = View & ReturnType<typeof countsOf>;

const TRIGGER: KindCommand<View, Row> = {
  what: 'trigger',
  resource: TRIGGERS,
  example: 'petrel trigger create paid --filter type=com.shop.paid --to shipping',
  nameOf: () => undefined,
  async list(client, home, where) {
    const [{ items }, counts] = await Promise.all([
      client.list<UntypedObject>(TRIGGERS, where),
      // On a cluster somebody else may deliver: then nothing is known of it here.
      askEventsIfAny({ home }, 'subscriptions', where, {}),
    ]);
    return items.map((item) => ({ ...triggerView(item), ...countsOf(counts, item) }));
  },
  columns: [
    ...['NAMESPACE', 'NAME', 'BROKER', 'FILTER', 'TO', 'READY'],
    ...['WAITING', 'DELIVERED', 'DEAD', 'REASON'],
  ],
  cells: (row) => [
    row.namespace,
    row.name,
    row.broker,
    row.filter,
    row.to,
    row.paused ? 'Paused' : row.ready,
    ...[row.waiting, row.delivered, row.dead].map((count) => (count === null ? '' : String(count))),
    row.message || (row.lastError ? `last failure: ${shortReason(row.lastError)}` : ''),
  ],
  create,
  pause: (paused) => ({ metadata: { annotations: { [`${WISH_GROUP}paused`]: paused ? 'true' : null } } }),
  view: triggerView,
  words({ name, filter, broker, to }) {
    const what = filter === '' ? 'every event' : `events with ${filter}`;
    return {
      create: `${name} brings ${what} of broker ${broker} to ${to}`,
      pause: `${name} is paused: events wait`,
      resume: `${name} is resumed`,
    };
  },
  deleted: (name) => `${name} is deleted; its events stay in the broker`,
  notes: () => [],
};

/** Lists, creates, deletes, pauses and resumes triggers. */
export const run = (context: CommandContext): Promise<number> => runKindCommand(TRIGGER, context);

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
