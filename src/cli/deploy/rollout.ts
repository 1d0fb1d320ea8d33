/** What `deploy` does about the traffic of the new revision, besides letting it take over. */
import { PetrelError } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import { dns1035Label } from '../../kinds/name.ts';
import type { Service } from '../../kinds/serving.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { FUNCTIONS, KSERVICES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import { canaryPolicyOf, ensureCanary } from '../traffic/canary.ts';
import { pinned, withTag } from '../traffic/edit.ts';
import { changeTraffic } from '../traffic/service.ts';

interface Target {
  namespace: string;
  name: string;
}

/** Options that contradict each other, or cannot be a name. Throws `InvalidArgument`. */
export function checkRollout(args: Args, name: string): void {
  const tag = args.text('tag');
  const revision = args.text('revision-name');
  if (tag !== undefined && dns1035Label(tag).length > 0)
    throw invalid(`--tag ${tag} cannot be a tag`, dns1035Label(tag).join('; '), 'for example --tag green');
  if (tag !== undefined && args.flag('no-wait'))
    throw invalid('--tag needs the revision to be ready', '', 'leave out --no-wait');
  if (args.flag('canary') && args.flag('no-traffic'))
    throw invalid('--canary gives traffic, --no-traffic gives none', '', 'choose one of them');
  if (revision === undefined) return;
  const problems = revision.startsWith(`${name}-`) ? dns1035Label(revision) : [`it must begin with ${name}-`];
  if (problems.length > 0)
    throw invalid(
      `--revision-name ${revision} cannot be the name of a revision`,
      problems.join('; '),
      `for example --revision-name ${name}-blue`,
    );
}

/** Before the new code is written: so that it never has traffic that it should not have. */
export async function beforeWrite(client: KubeClient, args: Args, target: Target): Promise<void> {
  const { namespace, name } = target;
  if (args.flag('canary')) {
    const current = await orUndefined(client.get<PetrelFunction>(FUNCTIONS, namespace, name));
    if (current) await ensureCanary(client, current, {});
  }
  if (!args.flag('no-traffic')) return;
  const policy = await canaryPolicyOf(client, namespace, name);
  if (policy) {
    throw invalid(
      `the TrafficPolicy ${policy.metadata.name} gives every new revision of ${name} traffic`,
      'it has a canary',
      `leave out --no-traffic, or petrel canary ${name} --off first`,
    );
  }
  const service = await orUndefined(client.get<Service>(KSERVICES, namespace, name));
  if (!service?.status?.latestReadyRevisionName) {
    throw invalid(
      `${name} has no revision yet that could keep the traffic`,
      '--no-traffic leaves all requests with the revision before',
      'leave it out for the first deploy',
    );
  }
  await changeTraffic(client, namespace, name, pinned);
}

/** Once the Function is written: one that is new has nothing to begin small against, the next revision has. */
export async function afterWrite(client: KubeClient, args: Args, fn: PetrelFunction): Promise<void> {
  if (args.flag('canary')) await ensureCanary(client, fn, {});
}

/** Once the new revision is ready: gives it its tag. */
export async function afterReady(
  client: KubeClient,
  args: Args,
  { namespace, name }: Target,
  revisionName: string | undefined,
): Promise<void> {
  const tag = args.text('tag');
  if (tag === undefined || revisionName === undefined) return;
  await changeTraffic(client, namespace, name, (facts) => withTag(tag, { revisionName }, facts));
}

function invalid(what: string, why: string, fix: string): PetrelError {
  return new PetrelError('InvalidArgument', what, { why, fix });
}
