import { PetrelError } from '../../base/errors.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { KubeClient } from '../../kube/client.ts';
import { EVENT_SOURCES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { known, put, settled } from '../events/apply.ts';
import { askEventsIfAny } from '../events/ask.ts';
import { checkSource } from '../events/check.ts';
import { destinationOf } from '../events/destination.ts';
import { configOf, named } from '../events/values.ts';
import { allSources, sourceView } from '../events/views.ts';
import { actionOf } from '../services/invocations.ts';
import { withSession } from '../session.ts';

/** Lists, creates, deletes, pauses and resumes sources of events. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const action = actionOf('source', args, ['list', 'create', 'delete', 'pause', 'resume']);
  const namespace = args.text('namespace') ?? 'default';
  const name = args.optional(1) ?? (action === 'create' ? args.text('kind') : undefined);
  if (action !== 'list' && name === undefined)
    throw new PetrelError('InvalidArgument', `petrel source ${action} needs a name`, {
      fix:
        action === 'create'
          ? 'petrel source create orders --kind kafka --set topic=orders --to shop'
          : 'petrel source list',
    });
  return withSession(home, async ({ client }) => {
    if (action === 'list' || name === undefined) {
      const where = args.flag('all') ? {} : { namespace };
      const [listed, { states }] = await Promise.all([
        allSources(client, where.namespace),
        // On a cluster the sources run elsewhere: then nothing is known of them here.
        askEventsIfAny({ home }, 'engine', where, { refusals: {}, states: {} }),
      ]);
      const found = listed.map((row) => ({ ...row, waiting: states[row.key]?.lag ?? null }));
      await out.data(found, () => {
        if (found.length === 0) return out.note('no sources; petrel source create --help');
        out.table(
          ['NAMESPACE', 'NAME', 'KIND', 'TO', 'READY', 'WAITING', 'REASON'],
          found.map((row) => [
            row.namespace,
            row.name,
            row.kind,
            row.to,
            row.paused ? 'Paused' : row.ready,
            row.waiting === null ? '' : String(row.waiting),
            row.message,
          ]),
        );
      });
      return 0;
    }
    if (action === 'delete') {
      await known(client.delete(EVENT_SOURCES, namespace, name), 'source', name);
      await out.data({ name, namespace, deleted: true }, () => out.line(`${name} is deleted`));
      return 0;
    }
    const written =
      action === 'create'
        ? await settled(client, args, await create(client, args, namespace, name))
        : await known(
            client.patch<UntypedObject>(EVENT_SOURCES, namespace, name, 'merge', {
              spec: { paused: action === 'pause' ? true : null },
            }),
            'source',
            name,
          );
    const view = sourceView(written, String(written.spec.type));
    await out.data(view, () => {
      out.line(
        {
          create: `${name} brings its events to ${view.to}`,
          pause: `${name} is paused: what comes waits at its origin`,
          resume: `${name} is resumed`,
        }[action],
      );
      if (action === 'create' && view.message !== '') out.note(`It does not work yet: ${view.message}`);
      if (action === 'create' && view.doing !== '') out.note(`It ${view.doing}`);
      if (view.address) out.note(`Its requests go to ${view.address}`);
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
