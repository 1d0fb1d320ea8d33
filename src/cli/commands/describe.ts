import type { Condition, UntypedObject } from '../../kinds/object.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { Revision, Service, TrafficTarget } from '../../kinds/serving.ts';
import { orUndefined } from '../../kube/client.ts';
import { EVENTS, KSERVICES, PODS } from '../../kube/refs.ts';
import type { CommandContext } from '../command.ts';
import { age, readyCondition } from '../conditions.ts';
import { type Deployed, deployedAs, isFunction, runsOn } from '../deployed.ts';
import { type Caller, callersOf } from '../events/views.ts';
import type { Output } from '../output.ts';
import { withSession } from '../session.ts';
import { revisionsOf } from '../traffic/service.ts';

interface Description {
  /** The Function, or the Service where no Function owns it. */
  object: Deployed;
  /** Who gets the requests now. */
  traffic: TrafficTarget[];
  revisions: Revision[];
  instances: Pod[];
  /** What brings events to it. */
  calledBy: Caller[];
  events: UntypedObject[];
}

/** Shows a function or service with all that belongs to it: what one looks at when it does not answer. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async ({ client }) => {
    const object = await deployedAs(client, namespace, name);
    const labelSelector = `serving.knative.dev/service=${name}`;
    const [service, revisions, pods, calledBy, events] = await Promise.all([
      orUndefined(client.get<Service>(KSERVICES, namespace, name)),
      revisionsOf(client, object),
      client.list<Pod>(PODS, { namespace, labelSelector }),
      callersOf(client, namespace, name),
      client.list<UntypedObject>(EVENTS, { namespace }),
    ]);
    const since = Date.parse(object.metadata.creationTimestamp ?? '') || 0;
    const related = (event: UntypedObject) => {
      const about = String(event.involvedObject?.name ?? '');
      // What had the name before is another object, though Events of it are still kept.
      return (about === name || about.startsWith(`${name}-`)) && Date.parse(lastTold(event)) >= since;
    };
    const description: Description = {
      object,
      traffic: service?.status?.traffic ?? [],
      revisions,
      instances: pods.items,
      calledBy,
      events: events.items.filter(related),
    };
    const { object: subject, ...rest } = description;
    const kind = isFunction(subject) ? 'function' : 'service';
    await out.data({ [kind]: subject, ...rest }, () => print(out, description));
    return 0;
  });
}

/** When it happened last, RFC 3339; in whole seconds, as the times of objects. */
const lastTold = (event: UntypedObject): string =>
  event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;

function print(out: Output, { object, traffic, revisions, instances, calledBy, events }: Description): void {
  const now = Date.now();
  const { metadata, status } = object;
  out.line(`${metadata.namespace}/${metadata.name}`);
  out.line(`  url       ${status?.url ?? '-'}`);
  out.line(`  runtime   ${runsOn(object)}`);
  if (isFunction(object) && object.spec.package) out.line(`  package   ${object.spec.package.digest}`);
  out.line(`  ready     ${sentence(readyCondition(object))}`);
  for (const condition of status?.conditions ?? []) {
    if (condition.type !== 'Ready') out.line(`  ${condition.type.padEnd(24)} ${sentence(condition)}`);
  }
  out.line('\nRevisions');
  out.table(
    ['  NAME', 'READY', 'INSTANCES', 'AGE', 'TRAFFIC'],
    revisions.map((revision) => [
      `  ${revision.metadata.name}`,
      verdict(readyCondition(revision)),
      String(revision.status?.actualReplicas ?? 0),
      age(revision.metadata.creationTimestamp, now),
      share(revision, traffic),
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
  if (calledBy.length > 0) {
    out.line('\nCalled by');
    out.table(
      ['  KIND', 'NAME', 'EVENTS', 'READY', 'REASON'],
      calledBy.map((caller) => [
        `  ${caller.kind}`,
        caller.name,
        caller.events,
        caller.ready,
        caller.message,
      ]),
    );
  }
  out.line('\nEvents');
  out.table(
    ['  TYPE', 'REASON', 'AGE', 'OBJECT', 'MESSAGE'],
    events.map((event) => [
      `  ${event.type ?? ''}`,
      event.reason ?? '',
      age(lastTold(event), now),
      `${event.involvedObject?.kind}/${event.involvedObject?.name}`,
      String(event.message ?? '').split('\n')[0] ?? '',
    ]),
  );
}

function share({ metadata }: Revision, traffic: readonly TrafficTarget[]): string {
  const own = traffic.filter(({ revisionName }) => revisionName === metadata.name);
  const percent = own.reduce((sum, target) => sum + (target.percent ?? 0), 0);
  const tags = own.flatMap(({ tag }) => (tag ? [`#${tag}`] : []));
  return [...(percent > 0 ? [`${percent} %`] : []), ...tags].join(' ');
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
