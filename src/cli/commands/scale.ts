import type { CommandContext } from '../command.ts';
import { withSession } from '../session.ts';
import { percentOf } from '../traffic/edit.ts';
import { scaled, scaleEdits, scaleSettings } from '../traffic/scale.ts';
import { changeService, factsOf, revisionsOf } from '../traffic/service.ts';

/** Shows how a service scales, or changes it at once, without a new revision. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const edits = scaleEdits(args);
  return withSession(home, async ({ client }) => {
    const service = await changeService(client, namespace, name, (current) => scaled(current, edits));
    const revisions = await revisionsOf(client, service);
    const percents = percentOf(factsOf(service, revisions));
    const serving = revisions.filter(({ metadata, status }) => {
      return (percents.get(metadata.name) ?? 0) > 0 || (status?.actualReplicas ?? 0) > 0;
    });
    const view = {
      name,
      namespace,
      settings: scaleSettings(service),
      revisions: serving.map(({ metadata, status }) => ({
        name: metadata.name,
        percent: percents.get(metadata.name) ?? 0,
        replicas: status?.actualReplicas ?? 0,
        desired: status?.desiredReplicas ?? 0,
      })),
    };
    await out.data(view, () => {
      const settings = Object.entries(view.settings);
      if (settings.length === 0) out.note(`${name} scales by the platform's defaults, from zero`);
      else {
        out.table(
          ['SETTING', 'VALUE', 'FROM'],
          settings.map(([option, { value, from }]) => [option, value, from]),
        );
        out.line('');
      }
      out.table(
        ['REVISION', 'TRAFFIC', 'REPLICAS', 'WANTED'],
        view.revisions.map((row) => [
          row.name,
          `${row.percent} %`,
          String(row.replicas),
          String(row.desired),
        ]),
      );
    });
    return 0;
  });
}
