import { PetrelError } from '../../base/errors.ts';
import type { Service } from '../../kinds/serving.ts';
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KSERVICES, TRAFFIC_POLICIES } from '../../kube/refs.ts';
import { stateOf } from '../../serving/canary/plan.ts';
import { takesLatest } from '../../serving/canary/targets.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { until } from '../deploy/wait.ts';
import { deployedAs } from '../deployed.ts';
import type { Output } from '../output.ts';
import { type Session, withSession } from '../session.ts';
import { canaryRules, ensureCanary, policyOf, removeCanary } from '../traffic/canary.ts';
import { withShares } from '../traffic/edit.ts';
import { changeTraffic, serviceNamed } from '../traffic/service.ts';

/** How long the controller may take to take up a change, milliseconds. */
const LIMIT_MS = 15_000;
const ACTIONS = ['promote', 'abort', 'off'] as const;

/** Gives a service a canary, shows how it goes, or ends the one under way. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const rules = canaryRules(args);
  const action = actionOf(args, Object.keys(rules).length > 0);
  return withSession(home, async (session) => {
    const service = await serviceNamed(session.client, namespace, name);
    let policy = await policyOf(session.client, namespace, name);
    if (action === 'set') {
      const target = await deployedAs(session.client, namespace, name);
      const written = await ensureCanary(session.client, target, rules);
      policy = await taken(session.client, written, ({ status }) => status?.canary !== undefined);
    } else if (action === 'off') {
      if (policy?.spec.canary) await switchOff(session, service, policy);
      policy = undefined;
    } else if (action !== 'status') {
      policy = await end(session, namespace, name, policy, action);
    }
    const canary = policy?.spec.canary;
    const view = {
      name,
      namespace,
      policy: canary ? policy?.metadata.name : null,
      rules: canary ?? null,
      canary: (canary && policy?.status?.canary) ?? null,
    };
    const after = canary ? undefined : await serviceNamed(session.client, namespace, name);
    await out.data(view, () => {
      if (canary && policy) print(out, policy);
      else printNone(out, name, after !== undefined && takesLatest(after.spec.traffic));
    });
    return 0;
  });
}

function actionOf(args: Args, rules: boolean): 'status' | 'set' | (typeof ACTIONS)[number] {
  const asked = [
    ...ACTIONS.filter((action) => args.flag(action)),
    ...(rules || args.flag('on') ? ['set' as const] : []),
    ...(args.flag('status') ? ['status' as const] : []),
  ];
  if (asked.length <= 1) return asked[0] ?? 'status';
  throw new PetrelError('InvalidArgument', 'these options do not go together', {
    why: `asked for: ${asked.join(', ')}`,
    fix: 'give rules, --status, --promote, --abort or --off, one at a time',
  });
}

/** Gives everything to the canary or to the stable revision; the controller sees it and says so in the policy's status. */
async function end(
  { client }: Session,
  namespace: string,
  name: string,
  policy: TrafficPolicy | undefined,
  action: 'promote' | 'abort',
): Promise<TrafficPolicy> {
  const canary = policy?.status?.canary;
  const winner = action === 'promote' ? canary?.revisionName : canary?.stableRevisionName;
  if (!policy?.spec.canary || canary?.phase !== 'Progressing' || !winner) {
    throw new PetrelError('NotFound', `no canary of ${name} is under way`, {
      why: policy?.spec.canary ? `it is ${canary?.phase ?? 'not begun'}` : 'it has none',
      fix: `petrel canary ${name}; petrel traffic ${name} --to <revision> moves the traffic at any time`,
    });
  }
  await changeTraffic(client, namespace, name, (facts) =>
    withShares([{ who: { revisionName: winner } }], facts),
  );
  return taken(client, policy, ({ status }) => status?.canary?.phase !== 'Progressing');
}

/** Resolves to the policy once the controller has taken up what was changed. */
function taken(
  client: KubeClient,
  policy: TrafficPolicy,
  done: (policy: TrafficPolicy) => boolean,
): Promise<TrafficPolicy> {
  return until(client, { resource: TRAFFIC_POLICIES, object: policy, limitMs: LIMIT_MS, done });
}

/** Takes the canary away and resolves when the traffic is as it stays. */
async function switchOff({ client }: Session, service: Service, policy: TrafficPolicy): Promise<void> {
  await removeCanary(client, policy);
  const done = (newest: Service) => stateOf(newest) === undefined;
  await until(client, { resource: KSERVICES, object: service, limitMs: LIMIT_MS, done });
}

function printNone(out: Output, name: string, followsLatest: boolean): void {
  if (followsLatest) out.note(`${name} has no canary: a new revision takes over at once`);
  else {
    out.note(`${name} has no canary, and its traffic goes to revisions by name: a new one takes none`);
    out.note(`  petrel traffic ${name} --to latest     # changes that`);
  }
  out.note(`  petrel canary ${name} --on     # begin every new revision small, with the default rules`);
}

function print(out: Output, policy: TrafficPolicy): void {
  const { canary } = policy.status ?? {};
  const rows: [string, string | undefined][] = [
    ['phase', canary?.phase ?? 'Idle'],
    ['revision', canary?.revisionName],
    ['stable', canary?.stableRevisionName],
    ['percent', canary?.percent === undefined ? undefined : `${canary.percent} %`],
    ['why', canary?.message],
    ['rules', JSON.stringify(policy.spec.canary)],
    ['policy', policy.metadata.name],
  ];
  for (const [key, value] of rows) if (value) out.line(`${key.padEnd(8)}  ${value}`);
}
