import { PetrelError } from '../../base/errors.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { KubeClient } from '../../kube/client.ts';
import { EVENT_SOURCES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { put } from '../events/apply.ts';
import { askEventsIfAny } from '../events/ask.ts';
import { checkSource } from '../events/check.ts';
import { destinationOf } from '../events/destination.ts';
import { type KindCommand, runKindCommand } from '../events/kind-command.ts';
import { configOf, named } from '../events/values.ts';
import { allSources, sourceView } from '../events/views.ts';

type View = ReturnType<typeof sourceView>;
type Row = Awaited<ReturnType<typeof allSources>>[number] & { waiting: number | null };

const SOURCE: KindCommand<View, Row> = {
  what: 'source',
  resource: EVENT_SOURCES,
  example: 'petrel source create orders --kind kafka --set topic=orders --to shop',
  nameOf: (args) => args.text('kind'),
  async list(client, home, where) {
    const [listed, { states }] = await Promise.all([
      allSources(client, where.namespace),
      // On a cluster the sources run elsewhere: then nothing is known of them here.
      askEventsIfAny({ home }, 'engine', where, { refusals: {}, states: {} }),
    ]);
    return listed.map((row) => ({ ...row, waiting: states[row.key]?.lag ?? null }));
  },
  columns: ['NAMESPACE', 'NAME', 'KIND', 'TO', 'READY', 'WAITING', 'REASON'],
  cells: (row) => [
    row.namespace,
    row.name,
    row.kind,
    row.to,
    row.paused ? 'Paused' : row.ready,
    row.waiting === null ? '' : String(row.waiting),
    row.message,
  ],
  create,
  pause: (paused) => ({ spec: { paused: paused ? true : null } }),
  view: (source) => sourceView(source, String(source.spec.type)),
  words: ({ name, to }) => ({
    create: `${name} brings its events to ${to}`,
    pause: `${name} is paused: what comes waits at its origin`,
    resume: `${name} is resumed`,
  }),
  deleted: (name) => `${name} is deleted`,
  notes: ({ doing, address }, created) => [
    ...(created && doing !== '' ? [`It ${doing}`] : []),
    ...(address ? [`Its requests go to ${address}`] : []),
  ],
};

/** Lists, creates, deletes, pauses and resumes sources of events. */
export const run = (context: CommandContext): Promise<number> => runKindCommand(SOURCE, context);

async function create(
  client: KubeClient,
  args: Args,
  namespace: string,
  name: string,
): Promise<UntypedObject> {
  const [type, to] = [args.text('kind'), args.text('to')];
  for (const [option, value] of [
    ['--kind', type],
    ['--to', to],
  ] as const)
    if (value === undefined)
      throw new PetrelError('InvalidArgument', `${option} is missing`, {
        fix: `petrel source create ${name} --kind timer --set 'schedule=0 9 * * *' --to <function>`,
      });
  const config = named(type ?? '', configOf(args.list('set'), '--set', '--set topic=orders'));
  await checkSource(type ?? '', config);
  const sink = await destinationOf(client, namespace, to ?? '');
  return put(client, EVENT_SOURCES, {
    apiVersion: 'petrel.dev/v1',
    kind: 'EventSource',
    metadata: { name, namespace },
    ...{ spec: { type: type ?? '', config, sink } },
  });
}
