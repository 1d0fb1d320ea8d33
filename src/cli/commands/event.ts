import { setTimeout } from 'node:timers/promises';
import { PetrelError } from '../../base/errors.ts';
import type { Json } from '../../kinds/object.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { askEvents, askEventsIfAny } from '../events/ask.ts';
import { shownKey, streamKey, subscriptionKey } from '../events/keys.ts';
import { momentOf } from '../events/moments.ts';
import { parseFilter } from '../events/on.ts';
import { clockTime, eventLine, printPath } from '../events/show.ts';
import { actionOf } from '../services/invocations.ts';

/** How long the platform holds one question of `tail` back, and how often it is asked again while it starts its engine, milliseconds. */
const TAIL = { waitMs: 20_000, againMs: 500, tries: 20 };
const HISTORY = 20;

const ACTIONS: Record<string, (context: CommandContext, stream: string) => Promise<number>> = {
  tail,
  history,
  replay,
};

/** Sends, follows, looks for and delivers again. */
export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const action = actionOf('event', args, ['send', 'tail', 'history', 'replay', 'streams']);
  if (action === 'send') return (await import('../events/send.ts')).send(context);
  if (action === 'streams') return streams(context);
  const stream = streamKey(args.optional(1) ?? 'default', namespaceOf(args));
  return ACTIONS[action]!(context, stream);
}

const namespaceOf = (args: Args) => args.text('namespace') ?? 'default';

/** What the options let through. Throws `InvalidArgument`. */
function filtersOf(args: Args): Json[] | undefined {
  const texts = [
    ...['type', 'source', 'subject'].flatMap((name) =>
      args.text(name) === undefined ? [] : [`${name}=${quoted(args.text(name)!)}`],
    ),
    ...args.list('filter'),
  ];
  const cesql = args.text('cesql');
  const filters = texts.flatMap(parseFilter);
  if (cesql !== undefined) filters.push({ cesql });
  return filters.length === 0 ? undefined : filters;
}

/** A value may have what separates pairs. */
const quoted = (value: string) => (/[\s,]/.test(value) ? `"${value}"` : value);

async function tail(context: CommandContext, stream: string): Promise<number> {
  const { args, out } = context;
  const filters = filtersOf(args);
  const most = args.integer('limit') ?? Number.POSITIVE_INFINITY;
  const since = momentOf(args, 'since', Date.now());
  let from: number | undefined;
  let shown = 0;
  for (let tries = 0; shown < most; ) {
    const input = { stream, from, since, filters, limit: Math.min(100, most - shown), waitMs: TAIL.waitMs };
    try {
      const { events, next } = await askEvents(context, 'follow', input);
      tries = 0;
      from = next;
      for (const { offset, at, event } of events) {
        shown++;
        if (out.format === 'table') out.line(eventLine(at, event, Date.now()));
        else out.line(JSON.stringify({ offset, at: new Date(at).toISOString(), ...event }));
      }
    } catch (error) {
      // The engine begins again after a crash: what was stored meanwhile is shown then.
      if (!(error instanceof PetrelError) || error.code !== 'NotReady' || ++tries > TAIL.tries) throw error;
      await setTimeout(TAIL.againMs);
    }
  }
  return 0;
}

async function history(context: CommandContext, stream: string): Promise<number> {
  const { args, out } = context;
  const namespace = namespaceOf(args);
  const found = await askEvents(context, 'history', {
    ...(args.flag('all') ? {} : { stream }),
    id: args.text('id'),
    filters: filtersOf(args),
    since: momentOf(args, 'since', Date.now()),
    limit: args.integer('limit') ?? HISTORY,
  });
  await out.data(found, () => {
    if (found.length === 0) return out.note('no such events');
    for (const [index, path] of found.entries()) {
      if (index > 0) out.line('');
      printPath(out, path, namespace);
    }
  });
  return 0;
}

async function replay(context: CommandContext, stream: string): Promise<number> {
  const { args, out } = context;
  const now = Date.now();
  const to = args.text('to');
  const since = momentOf(args, 'since', now);
  const id = args.text('id');
  if (since === undefined && id === undefined && !args.flag('all'))
    throw new PetrelError('InvalidArgument', 'petrel event replay needs --since or --id', {
      why: 'nobody said which events',
      fix: `petrel event replay --since 1h --to trigger/<name>, or --all for everything that is kept`,
    });
  const count = await askEvents(context, 'replay', {
    stream,
    ...(to === undefined ? {} : { subscription: subscriptionKey(to, namespaceOf(args)) }),
    since,
    until: momentOf(args, 'until', now),
    id,
  });
  await out.data({ count }, () =>
    out.line(count === 1 ? '1 delivery is made again' : `${count} deliveries are made again`),
  );
  return 0;
}

async function streams(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const namespace = namespaceOf(args);
  const found = await askEventsIfAny(context, 'streams', args.flag('all') ? {} : { namespace }, {});
  await out.data(found, () => {
    const rows = Object.entries(found);
    if (rows.length === 0) return out.note('no brokers or channels; petrel trigger create makes a broker');
    out.table(
      ['STREAM', 'EVENTS', 'BYTES', 'OLDEST', 'ACCEPTED', 'REFUSED'],
      rows.map(([key, { events, bytes, oldest, accepted, refused }]) => [
        shownKey(key, namespace),
        String(events),
        String(bytes),
        oldest === undefined ? '' : clockTime(oldest, Date.now()),
        String(accepted),
        String(refused),
      ]),
    );
  });
  return 0;
}
