/** Condition `ZygoteReady` of Runtimes: whether their instances are forked from a warm process, and when not, why. */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { conditionOf, withCondition } from '../../kinds/conditions.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { RUNTIMES } from '../../kube/refs.ts';
import type { Capability } from './drivers/driver.ts';

const TYPE = 'ZygoteReady';
/** Others write the status too: so often is it read again before the next telling has to do. */
const TRIES = 5;

/** One tenant in trouble is enough for the whole to be told of it; which one, where there are others. Pure. */
export function zygoteCondition(states: ReadonlyMap<string, Capability>): Condition {
  const trouble = [...states].find(([, { available }]) => !available);
  const [namespace, { available, reason, message }] = trouble ?? [...states][0]!;
  const where = trouble && states.size > 1 ? `in namespace ${namespace} ` : '';
  return { type: TYPE, status: available ? 'True' : 'False', reason, message: where + message };
}

/** Takes what the driver tells of `<namespace>/<runtime>`, and writes it when it has changed. */
export function createZygoteConditions({
  client,
  clock,
  log,
}: {
  client: KubeClient;
  clock: Clock;
  log: Logger;
}): (key: string, state: Capability) => void {
  const known = new Map<string, Map<string, Capability>>();
  /** One write at a time for each Runtime. */
  const writing = new Map<string, Promise<void>>();

  const write = async (name: string) => {
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        const runtime = await client.get<Runtime>(RUNTIMES, undefined, name);
        const next = zygoteCondition(known.get(name)!);
        const old = conditionOf(runtime, TYPE);
        if (
          old?.status === next.status &&
          old.reason === next.reason &&
          (old.message ?? '') === (next.message ?? '')
        )
          return;
        const conditions = withCondition(runtime.status?.conditions, next, clock.now());
        await client.updateStatus<Runtime>(RUNTIMES, {
          ...runtime,
          status: { ...runtime.status, conditions },
        });
        return;
      } catch (error) {
        if (error instanceof KubeError && error.code === 404) return;
        if (error instanceof KubeError && error.code === 409) continue;
        log.warn('the condition of a Runtime was not written', { runtime: name, why: messageOf(error) });
        return;
      }
    }
  };

  return (key, state) => {
    const at = key.indexOf('/');
    const [namespace, name] = [key.slice(0, at), key.slice(at + 1)];
    const states = known.get(name) ?? new Map<string, Capability>();
    known.set(name, states.set(namespace, state));
    writing.set(
      name,
      (writing.get(name) ?? Promise.resolve()).then(() => write(name)),
    );
  };
}
