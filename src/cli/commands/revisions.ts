import { CODE_ANNOTATIONS, type FunctionAlias } from '../../kinds/function.ts';
import type { Revision } from '../../kinds/serving.ts';
import { LABELS } from '../../serving/names.ts';
import type { CommandContext } from '../command.ts';
import { age, readyCondition } from '../conditions.ts';
import { withSession } from '../session.ts';
import { aliasesOf, DESCRIPTION } from '../traffic/alias.ts';
import { percentOf } from '../traffic/edit.ts';
import { factsOf, revisionsOf, serviceNamed } from '../traffic/service.ts';

/** Characters of a digest that tell packages apart. */
const SHORT = 12;

/** Lists the revisions of a service, newest first, with the traffic that each gets. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async ({ client }) => {
    const service = await serviceNamed(client, namespace, name);
    const revisions = await revisionsOf(client, service);
    const facts = factsOf(service, revisions);
    const percents = percentOf(facts);
    const aliases = await aliasesOf(client, namespace, name);
    const rows = revisions.map((revision) => {
      const ready = readyCondition(revision);
      return {
        name: revision.metadata.name,
        percent: percents.get(revision.metadata.name) ?? 0,
        tags: tagsOf(revision.metadata.name, service.status?.traffic ?? []),
        aliases: aliases
          .filter(({ spec }) => namesOf(spec).includes(revision.metadata.name))
          .map((alias) => alias.metadata.name),
        kept: revision.metadata.annotations?.[LABELS.noGc] === 'true',
        description: revision.metadata.annotations?.[DESCRIPTION] ?? null,
        latest: revision.metadata.name === facts.latestReady,
        ready: ready?.status ?? 'Unknown',
        reason: ready?.status === 'True' ? null : (ready?.reason ?? null),
        replicas: revision.status?.actualReplicas ?? 0,
        code: codeOf(revision),
        created: revision.metadata.creationTimestamp ?? null,
      };
    });
    const now = Date.now();
    const described = rows.some(({ description }) => description !== null);
    await out.data(rows, () => {
      if (rows.length === 0) return out.note(`${name} has no revision yet; petrel describe ${name}`);
      out.table(
        [
          'NAME',
          'TRAFFIC',
          'TAGS',
          'READY',
          'REPLICAS',
          'CODE',
          'AGE',
          ...(described ? ['DESCRIPTION'] : []),
        ],
        rows.map((row) => [
          row.name,
          row.percent > 0 ? `${row.percent} %` : '',
          [...row.tags, ...row.aliases].join(','),
          row.reason ? `${row.ready} (${row.reason})` : row.ready,
          String(row.replicas),
          row.code,
          age(row.created ?? undefined, now),
          ...(described ? [row.description ?? ''] : []),
        ]),
      );
    });
    return 0;
  });
}

/** Revisions that an alias names; none where it follows the newest. */
function namesOf({ revisionName, secondary }: FunctionAlias['spec']): string[] {
  return [revisionName, secondary?.revisionName].filter((name) => name !== undefined);
}

function tagsOf(name: string, traffic: readonly { tag?: string; revisionName?: string }[]): string[] {
  return traffic.flatMap(({ tag, revisionName }) => (tag && revisionName === name ? [tag] : []));
}

/** What runs, short: the package's digest, otherwise the image. */
function codeOf({ metadata, spec, status }: Revision): string {
  const digest = metadata.annotations?.[CODE_ANNOTATIONS.package];
  if (digest !== undefined) return digest.replace(/^sha256:/, '').slice(0, SHORT);
  const imageDigest = status?.containerStatuses?.[0]?.imageDigest?.split('@sha256:')[1];
  return imageDigest?.slice(0, SHORT) ?? spec.containers[0]?.image ?? '';
}
