/** The TrafficPolicy that gives the canary of a service its rules. */
import { PetrelError } from '../../base/errors.ts';
import type { Json } from '../../kinds/object.ts';
import type { CanaryPolicy, TrafficPolicy } from '../../kinds/traffic-policy.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { TRAFFIC_POLICIES } from '../../kube/refs.ts';
import { policyFor } from '../../serving/canary/policy.ts';
import type { Args } from '../args.ts';
import type { Deployed } from '../deployed.ts';

/** The policy in force for a service, with or without a canary. */
export async function policyOf(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<TrafficPolicy | undefined> {
  const { items } = await client.list<TrafficPolicy>(TRAFFIC_POLICIES, { namespace });
  return policyFor(items, namespace, name);
}

/** The same when it has a canary. */
export async function canaryPolicyOf(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<TrafficPolicy | undefined> {
  const policy = await policyOf(client, namespace, name);
  return policy?.spec.canary ? policy : undefined;
}

/** Gives a Function or Service a canary with these rules; what they do not name stays as it is. A new policy goes with its target. */
export async function ensureCanary(
  client: KubeClient,
  { apiVersion, kind, metadata }: Deployed,
  rules: CanaryPolicy,
): Promise<TrafficPolicy> {
  const { name, namespace = 'default', uid = '' } = metadata;
  const policy = await policyOf(client, namespace, name);
  if (policy) {
    const canary = { ...policy.spec.canary, ...rules };
    return client.patch<TrafficPolicy>(TRAFFIC_POLICIES, namespace, policy.metadata.name, 'merge', {
      spec: { canary: canary as Json },
    });
  }
  const taken = await orUndefined(client.get<TrafficPolicy>(TRAFFIC_POLICIES, namespace, name));
  if (taken) {
    throw new PetrelError('NameTaken', `a TrafficPolicy ${name} exists and is for another target`, {
      why: `it is for ${taken.spec.targetRef.kind} ${taken.spec.targetRef.name}`,
      fix: `write one by hand, with targetRef ${kind} ${name} and spec.canary`,
    });
  }
  return client.create<TrafficPolicy>(TRAFFIC_POLICIES, {
    apiVersion: 'petrel.dev/v1',
    kind: 'TrafficPolicy',
    metadata: { name, namespace, ownerReferences: [{ apiVersion, kind, name, uid }] },
    spec: { targetRef: { kind: kind === 'Function' ? kind : 'Service', name }, canary: rules },
  });
}

/** Takes the canary away; a policy that says nothing else goes, too. */
export async function removeCanary(client: KubeClient, policy: TrafficPolicy): Promise<void> {
  const { namespace, name } = policy.metadata;
  const { targetRef: _target, canary: _canary, ...others } = policy.spec;
  if (Object.keys(others).length === 0) await client.delete(TRAFFIC_POLICIES, namespace, name);
  else await client.patch(TRAFFIC_POLICIES, namespace, name, 'merge', { spec: { canary: null } });
}

/** The rules given on the command line. Throws `InvalidArgument`. */
export function canaryRules(args: Args): CanaryPolicy {
  const rules: CanaryPolicy = {};
  const steps = args.text('steps');
  if (steps !== undefined) {
    rules.steps = steps.split(',').map(Number);
    const rising = rules.steps.every((step, at, all) => step > (all[at - 1] ?? 0));
    if (!rising || rules.steps.some((step) => !Number.isInteger(step) || step >= 100)) {
      throw new PetrelError('InvalidArgument', `--steps ${steps} are no rising percentages below 100`, {
        fix: 'for example --steps 5,25,50',
      });
    }
  }
  const interval = args.text('interval');
  if (interval !== undefined) rules.intervalSeconds = milliseconds('interval', interval) / 1000;
  const latency = args.text('max-latency');
  if (latency !== undefined) rules.maxLatencyMs = milliseconds('max-latency', latency);
  const errors = args.text('max-error-percent');
  if (errors !== undefined) {
    rules.maxErrorPercent = Number(errors.replace(/%$/, ''));
    if (!(rules.maxErrorPercent >= 0 && rules.maxErrorPercent <= 100)) {
      throw new PetrelError('InvalidArgument', `--max-error-percent ${errors} is no percentage`, {
        fix: 'for example --max-error-percent 1',
      });
    }
  }
  const requests = args.integer('min-requests');
  if (requests !== undefined) rules.minRequests = requests;
  return rules;
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function milliseconds(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const value = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (value > 0) return value;
  throw new PetrelError('InvalidArgument', `--${option} ${text} is no time`, {
    fix: `for example --${option} 300ms, --${option} 30s`,
  });
}
