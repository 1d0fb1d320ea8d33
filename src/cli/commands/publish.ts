import { PetrelError } from '../../base/errors.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { KubeClient } from '../../kube/client.ts';
import { REVISIONS } from '../../kube/refs.ts';
import { LABELS } from '../../serving/names.ts';
import type { CommandContext } from '../command.ts';
import { untilWritten } from '../conflict.ts';
import { withSession } from '../session.ts';
import { aliasName, DESCRIPTION, writeAlias } from '../traffic/alias.ts';
import { choiceOf } from '../traffic/edit.ts';
import { factsOf, revisionsOf, serviceNamed } from '../traffic/service.ts';

/** Keeps a revision from being collected, says what is in it, and lets an alias stand for it. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const [alias, off] = [args.text('as'), args.flag('off')];
  if (off && alias !== undefined)
    throw new PetrelError('InvalidArgument', '--off and --as exclude each other', {
      fix: `petrel publish ${name} --as ${alias}`,
    });
  const route = alias === undefined ? undefined : aliasName(name, alias);
  return withSession(home, async ({ client }) => {
    const service = await serviceNamed(client, namespace, name);
    const facts = factsOf(service, await revisionsOf(client, service));
    const choice = choiceOf(args.text('revision') ?? 'latest', facts);
    const revisionName = 'revisionName' in choice ? choice.revisionName : facts.latestReady;
    if (revisionName === undefined)
      throw new PetrelError('NotReady', `${name} has no ready revision yet`, {
        fix: `petrel describe ${name} says why`,
      });
    const annotations = {
      [LABELS.noGc]: off ? null : 'true',
      ...(off ? { [DESCRIPTION]: null } : {}),
      ...(args.text('description') === undefined ? {} : { [DESCRIPTION]: args.text('description') }),
    };
    const revision = await annotate(client, namespace, revisionName, annotations);
    const spec = { function: name, revisionName };
    const url = route && (await writeAlias(client, namespace, route, spec)).status?.url;
    const view = {
      revision: revisionName,
      namespace,
      kept: !off,
      description: revision.metadata.annotations?.[DESCRIPTION] ?? null,
      alias: route ?? null,
      url: url ?? null,
    };
    await out.data(view, () => {
      out.line(off ? `${revisionName} is no longer kept` : `${revisionName} is kept`);
      if (route) out.line(`${route} → ${revisionName}  ${url ?? ''}`.trimEnd());
    });
    return 0;
  });
}

/** Sets annotations of a revision, or takes them away where they are null. */
async function annotate(
  client: KubeClient,
  namespace: string,
  name: string,
  changes: Record<string, string | null | undefined>,
): Promise<Revision> {
  return untilWritten(async () => {
    const found = await client.get<Revision>(REVISIONS, namespace, name);
    const annotations = { ...found.metadata.annotations };
    for (const [key, value] of Object.entries(changes)) {
      if (typeof value === 'string') annotations[key] = value;
      else delete annotations[key];
    }
    return client.update<Revision>(REVISIONS, { ...found, metadata: { ...found.metadata, annotations } });
  });
}
