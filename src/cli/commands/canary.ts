import { PetrelError } from '../../base/errors.ts';
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';
import { TRAFFIC_POLICIES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import type { Output } from '../output.ts';
import { type Session, withSession } from '../session.ts';
import { canaryRules, ensureCanary, policyOf, removeCanary } from '../traffic/canary.ts';
import { withShares } from '../traffic/edit.ts';
import { changeTraffic, serviceNamed } from '../traffic/service.ts';

const ACTIONS = ['promote', 'abort', 'off'] as const;

/** Gives a service a canary, shows how it goes, or ends the one under way. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const rules = canaryRules(args);
  const action = actionOf(args, Object.keys(rules).length > 0);
  return withSession(home, async (session) => {
    const service = await serviceNamed(session.client, namespace, name);
    const owned = service.metadata.ownerReferences?.some(({ kind }) => kind === 'Function');
    let policy = await policyOf(session.client, namespace, name);
    if (action === 'set') {
      const kind = owned ? ('Function' as const) : ('Service' as const);
      policy = await ensureCanary(session.client, namespace, { kind, name }, rules);
    } else if (action === 'off') {
      if (policy?.spec.canary) await removeCanary(session.client, policy);
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
    await out.data(view, () => print(out, name, canary ? policy : undefined));
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
  return client.get<TrafficPolicy>(TRAFFIC_POLICIES, namespace, policy.metadata.name);
}

function print(out: Output, name: string, policy: TrafficPolicy | undefined): void {
  if (!policy) {
    out.note(`${name} has no canary: a new revision takes over at once`);
    out.note(`  petrel canary ${name} --on     # begin every new revision small, with the default rules`);
    return;
  }
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
