import type { PetrelFunction } from '../../kinds/function.ts';
import { FUNCTION_LABELS } from '../../kinds/function.ts';
import type { Condition, UntypedObject } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { Revision } from '../../kinds/serving.ts';
import { EVENTS, FUNCTIONS, PODS, REVISIONS } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { age, readyCondition } from '../conditions.ts';
import type { Output } from '../output.ts';
import { withSession } from '../session.ts';

interface Description {
  function: PetrelFunction;
  revisions: Revision[];
  instances: Pod[];
  events: UntypedObject[];
}

/** Shows a function with all that belongs to it: what one looks at when it does not answer. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async ({ client }) => {
    const labelSelector = `${FUNCTION_LABELS.function}=${name}`;
    const [fn, revisions, pods, events] = await Promise.all([
      client.get<PetrelFunction>(FUNCTIONS, namespace, name),
      client.list<Revision>(REVISIONS, { namespace, labelSelector: `serving.knative.dev/service=${name}` }),
      client.list<Pod>(PODS, { namespace, labelSelector }),
      client.list<UntypedObject>(EVENTS, { namespace }),
    ]);
    const related = (event: UntypedObject) => {
      const about = String(event.involvedObject?.name ?? '');
      return about === name || about.startsWith(`${name}-`);
    };
    const description: Description = {
      function: fn,
      revisions: revisions.items,
      instances: pods.items,
      events: events.items.filter(related),
    };
    await out.data(description, () => print(out, description));
    return 0;
  });
}

function print(out: Output, { function: fn, revisions, instances, events }: Description): void {
  const now = Date.now();
  const { metadata, spec, status } = fn;
  out.line(`${metadata.namespace}/${metadata.name}`);
  out.line(`  url       ${status?.url ?? '-'}`);
  out.line(`  runtime   ${spec.runtime}`);
  out.line(`  package   ${spec.package.digest}`);
  out.line(`  ready     ${sentence(readyCondition(fn))}`);
  for (const condition of status?.conditions ?? []) {
    if (condition.type !== 'Ready') out.line(`  ${condition.type.padEnd(24)} ${sentence(condition)}`);
  }
  out.line('\nRevisions');
  out.table(
    ['  NAME', 'READY', 'INSTANCES', 'AGE'],
    revisions.map((revision) => [
      `  ${revision.metadata.name}`,
      verdict(readyCondition(revision)),
      String(revision.status?.actualReplicas ?? 0),
      age(revision.metadata.creationTimestamp, now),
    ]),
  );
  out.line('\nInstances');
  out.table(
    ['  NAME', 'PHASE', 'RESTARTS', 'AGE'],
    instances.map((pod) => [
      `  ${pod.metadata.name}`,
      pod.status?.phase ?? 'Unknown',
      String(pod.status?.containerStatuses?.[0]?.restartCount ?? 0),
      age(pod.metadata.creationTimestamp, now),
    ]),
  );
  out.line('\nEvents');
  out.table(
    ['  TYPE', 'REASON', 'AGE', 'OBJECT', 'MESSAGE'],
    events.map((event) => [
      `  ${event.type ?? ''}`,
      event.reason ?? '',
      age(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp, now),
      `${event.involvedObject?.kind}/${event.involvedObject?.name}`,
      String(event.message ?? '').split('\n')[0] ?? '',
    ]),
  );
}

function sentence(condition: Condition | undefined): string {
  if (!condition) return 'Unknown';
  const why = [condition.reason, condition.message].filter(Boolean).join(': ');
  if (condition.status === 'True' || why === '') return condition.status;
  // A load error is several lines of source: below each other they are readable, in the middle of a line they are not.
  return `${condition.status} (${why.trimEnd().replaceAll('\n', '\n            ')})`;
}

/** The same as one cell of a table: without the text. */
function verdict(condition: Condition | undefined): string {
  if (!condition) return 'Unknown';
  return condition.status === 'True' || !condition.reason
    ? condition.status
    : `${condition.status} (${condition.reason})`;
}
