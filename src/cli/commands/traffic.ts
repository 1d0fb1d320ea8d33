import { PetrelError } from '../../base/errors.ts';
import { dns1035Label } from '../../kinds/name.ts';
import type { Service, TrafficTarget } from '../../kinds/serving.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { withSession } from '../session.ts';
import { choiceOf, sharesOf, type TrafficFacts, withoutTag, withShares, withTag } from '../traffic/edit.ts';
import { changeTraffic, revisionsOf, serviceNamed } from '../traffic/service.ts';
import { notePinned, printTraffic, trafficView } from '../traffic/show.ts';

type Edit = (facts: TrafficFacts) => TrafficTarget[];

/** Shows who gets the requests of a service, or changes it; returns when the change is in force. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const edits = editsOf(args);
  return withSession(home, async ({ client }) => {
    const service = await (edits.length === 0
      ? serviceNamed(client, namespace, name)
      : out.progress(`moving the traffic of ${name}`, apply(client, namespace, name, edits)));
    const view = trafficView(service, await revisionsOf(client, service));
    await out.data(view, () => {
      printTraffic(out, view);
      notePinned(out, view);
    });
    return 0;
  });
}

/** All edits as one change: nothing in between is ever in force. */
function apply(client: KubeClient, namespace: string, name: string, edits: Edit[]): Promise<Service> {
  return changeTraffic(client, namespace, name, (facts) =>
    edits.reduce((traffic, edit) => edit({ ...facts, traffic }), [...facts.traffic]),
  );
}

function editsOf(args: Args): Edit[] {
  const to = args.list('to');
  const promote = args.text('promote');
  if (to.length > 0 && promote !== undefined) {
    throw new PetrelError('InvalidArgument', '--to and --promote both say who gets the traffic', {
      fix: 'give one of them',
    });
  }
  return [
    ...args.list('remove-tag').map(
      (tag): Edit =>
        (facts) => {
          if (facts.traffic.some((target) => target.tag === tag)) return withoutTag(tag, facts);
          const tags = facts.traffic.flatMap((target) => (target.tag ? [target.tag] : []));
          throw new PetrelError('NotFound', `${facts.service} has no tag "${tag}"`, {
            why: tags.length > 0 ? `it has ${tags.join(', ')}` : 'it has none',
            fix: `petrel traffic ${facts.service}`,
          });
        },
    ),
    ...(to.length > 0 ? [((facts) => withShares(sharesOf(to, facts), facts)) satisfies Edit] : []),
    // A tag that moves with the latest would not be promoted: it is the revision behind it that is.
    ...(promote === undefined
      ? []
      : [((facts) => withShares([{ who: choiceOf(promote, facts) }], facts)) satisfies Edit]),
    ...args.list('tag').map((text): Edit => {
      const { tag, word } = readTag(text);
      return (facts) => withTag(tag, choiceOf(word, facts), facts);
    }),
  ];
}

/** Reads `green=hello-00002`. Throws `InvalidArgument`. */
function readTag(text: string): { tag: string; word: string } {
  const equals = text.indexOf('=');
  const tag = text.slice(0, equals);
  const word = text.slice(equals + 1);
  const problems = equals < 1 || word === '' ? ['it has no ='] : dns1035Label(tag);
  if (problems.length === 0) return { tag, word };
  throw new PetrelError('InvalidArgument', `--tag ${text} is not understood`, {
    why: problems.join('; '),
    fix: 'write --tag <tag>=<revision>, for example --tag green=latest',
  });
}
