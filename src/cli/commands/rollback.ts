import type { CommandContext } from '../command.ts';
import { withSession } from '../session.ts';
import { choiceOf, previousOf, type TrafficFacts, withShares } from '../traffic/edit.ts';
import { changeTraffic, revisionsOf } from '../traffic/service.ts';
import { notePinned, printTraffic, trafficView } from '../traffic/show.ts';

/** Gives all traffic to the revision before, or to the one named, by name: what is deployed next takes none. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const target = (facts: TrafficFacts) => {
    const word = args.text('to');
    const choice = word === undefined ? undefined : choiceOf(word, facts);
    if (choice === undefined) return previousOf(facts);
    return 'revisionName' in choice ? choice.revisionName : (facts.latestReady ?? previousOf(facts));
  };
  return withSession(home, async ({ client }) => {
    const change = changeTraffic(client, namespace, name, (facts) =>
      withShares([{ who: { revisionName: target(facts) } }], facts),
    );
    const service = await out.progress(`rolling ${name} back`, change);
    const view = trafficView(service, await revisionsOf(client, service));
    await out.data(view, () => {
      printTraffic(out, view);
      notePinned(out, view);
    });
    return 0;
  });
}
