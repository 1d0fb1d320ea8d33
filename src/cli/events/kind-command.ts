/** What `petrel trigger` and `petrel source` do alike: list, create, delete, pause and resume objects of one kind. */
import { PetrelError } from '../../base/errors.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeClient, ResourceRef } from '../../kube/client.ts';
import type { HomePaths } from '../../platform/home.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { actionOf } from '../services/invocations.ts';
import { withSession } from '../session.ts';
import { known, settled } from './apply.ts';

/** What differs between the kinds. `View` is what is said of one object that was written, `Row` of one in a list. */
export interface KindCommand<View extends { message: string }, Row> {
  /** The command's name. */
  what: 'trigger' | 'source';
  resource: ResourceRef;
  /** A command that creates one, for who gave no name. */
  example: string;
  /** The name of one that is created without; undefined: it needs one. */
  nameOf(args: Args): string | undefined;
  /** Of one namespace, or of all. */
  list(client: KubeClient, home: HomePaths, where: { namespace?: string }): Promise<Row[]>;
  columns: readonly string[];
  cells(row: Row): readonly string[];
  create(client: KubeClient, args: Args, namespace: string, name: string): Promise<UntypedObject>;
  /** The merge patch that pauses or resumes. */
  pause(paused: boolean): { [field: string]: Json };
  view(object: UntypedObject): View;
  /** What has become of it, for people. */
  words(view: View): Record<'create' | 'pause' | 'resume', string>;
  deleted(name: string): string;
  /** What else is to be said, line by line. */
  notes(view: View, created: boolean): readonly string[];
}

/** Carries out one such command; returns the exit code. */
export async function runKindCommand<View extends { message: string }, Row>(
  kind: KindCommand<View, Row>,
  { args, home, out }: CommandContext,
): Promise<number> {
  const { what, resource } = kind;
  const action = actionOf(what, args, ['list', 'create', 'delete', 'pause', 'resume']);
  const namespace = args.text('namespace') ?? 'default';
  const name = args.optional(1) ?? (action === 'create' ? kind.nameOf(args) : undefined);
  if (action !== 'list' && name === undefined)
    throw new PetrelError('InvalidArgument', `petrel ${what} ${action} needs a name`, {
      fix: action === 'create' ? kind.example : `petrel ${what} list`,
    });
  return withSession(home, async ({ client }) => {
    if (action === 'list' || name === undefined) {
      const rows = await kind.list(client, home, args.flag('all') ? {} : { namespace });
      await out.data(rows, () => {
        if (rows.length === 0) return out.note(`no ${what}s; petrel ${what} create --help`);
        out.table(kind.columns, rows.map(kind.cells));
      });
      return 0;
    }
    if (action === 'delete') {
      await known(client.delete(resource, namespace, name), what, name);
      await out.data({ name, namespace, deleted: true }, () => out.line(kind.deleted(name)));
      return 0;
    }
    const written =
      action === 'create'
        ? await settled(client, args, await kind.create(client, args, namespace, name))
        : await known(
            client.patch<UntypedObject>(resource, namespace, name, 'merge', kind.pause(action === 'pause')),
            what,
            name,
          );
    const view = kind.view(written);
    const created = action === 'create';
    await out.data(view, () => {
      out.line(kind.words(view)[action]);
      if (created && view.message !== '') out.note(`It does not work yet: ${view.message}`);
      for (const note of kind.notes(view, created)) out.note(note);
    });
    return 0;
  });
}
