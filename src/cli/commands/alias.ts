import { PetrelError } from '../../base/errors.ts';
import type { FunctionAlias } from '../../kinds/function.ts';
import type { KubeClient } from '../../kube/client.ts';
import { FUNCTION_ALIASES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { readyCondition } from '../conditions.ts';
import type { Output } from '../output.ts';
import { withSession } from '../session.ts';
import { aliasesOf, aliasName, writeAlias } from '../traffic/alias.ts';
import { choiceOf, type TrafficFacts } from '../traffic/edit.ts';
import { factsOf, revisionsOf, serviceNamed } from '../traffic/service.ts';

const ALSO = /^(.+)=(\d{1,2})%?$/;

/** Lists the aliases of a function, sets one, or deletes one. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const fn = args.required(0);
  const alias = args.optional(1);
  const namespace = args.text('namespace') ?? 'default';
  if (args.flag('delete') && alias === undefined)
    throw new PetrelError('InvalidArgument', '--delete needs to know which alias', {
      fix: `petrel alias ${fn} prod --delete`,
    });
  return withSession(home, async ({ client }) => {
    if (alias === undefined) return list(client, out, namespace, fn);
    const name = aliasName(fn, alias);
    if (args.flag('delete')) {
      await client.delete(FUNCTION_ALIASES, namespace, name);
      await out.data({ name, namespace, deleted: true }, () => out.line(`${name} is deleted`));
      return 0;
    }
    const service = await serviceNamed(client, namespace, fn);
    const facts = factsOf(service, await revisionsOf(client, service));
    const spec = specOf(args, fn, facts);
    const written = spec
      ? await out.progress(`setting ${name}`, writeAlias(client, namespace, name, spec))
      : await client.get<FunctionAlias>(FUNCTION_ALIASES, namespace, name);
    await out.data(viewOf(written), () => print(out, [written]));
    return 0;
  });
}

async function list(client: KubeClient, out: Output, namespace: string, fn: string): Promise<number> {
  await serviceNamed(client, namespace, fn);
  const aliases = await aliasesOf(client, namespace, fn);
  await out.data(aliases.map(viewOf), () => {
    if (aliases.length === 0) return out.note(`${fn} has no alias; petrel alias ${fn} prod --to latest`);
    print(out, aliases);
  });
  return 0;
}

/** What the options ask for; undefined when they ask for nothing. Throws `InvalidArgument`, `NotFound` or `NotReady`. */
function specOf(args: Args, fn: string, facts: TrafficFacts): FunctionAlias['spec'] | undefined {
  const [to, also] = [args.text('to'), args.text('also')];
  if (to === undefined && also === undefined) return undefined;
  const choice = choiceOf(to ?? 'latest', facts);
  const spec: FunctionAlias['spec'] = { function: fn };
  if ('revisionName' in choice) spec.revisionName = choice.revisionName;
  if (also === undefined) return spec;
  const [, word, percent] = ALSO.exec(also) ?? [];
  if (word === undefined || Number(percent) < 1)
    throw new PetrelError('InvalidArgument', `--also ${also} is not a revision and its part`, {
      fix: `petrel alias ${fn} prod --to 2 --also 3=10`,
    });
  const second = choiceOf(word, facts);
  const revisionName = 'revisionName' in second ? second.revisionName : facts.latestReady;
  if (revisionName === undefined) throw new PetrelError('NotReady', `${fn} has no ready revision yet`);
  return { ...spec, secondary: { revisionName, percent: Number(percent) } };
}

function viewOf(alias: FunctionAlias) {
  const { metadata, spec, status } = alias;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    function: spec.function,
    revision: spec.revisionName ?? null,
    secondary: spec.secondary ?? null,
    url: status?.url ?? null,
    ready: readyCondition(alias)?.status ?? 'Unknown',
  };
}

function print(out: Output, aliases: FunctionAlias[]): void {
  const rows = aliases.map(viewOf).map(({ name, revision, secondary, ready, url }) => {
    const first = revision ?? 'latest';
    const shares = secondary
      ? `${first} ${100 - secondary.percent} %, ${secondary.revisionName} ${secondary.percent} %`
      : first;
    return [name, shares, ready, url ?? ''];
  });
  out.table(['ALIAS', 'REVISION', 'READY', 'URL'], rows);
}
