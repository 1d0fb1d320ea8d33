/** Limits of a container as numbers, from its resources or, for one that got its work later, from an annotation. */
import { type Container, NODE_ANNOTATIONS, type Pod, type ResourceRequirements } from '../../kinds/pod.ts';
import { parseCpuMillis, parseQuantity } from '../../kinds/quantity.ts';
import type { ContainerLimits } from './drivers/driver.ts';

/** Resources of a Pod's spec cannot change; an annotation says what a running one has to keep to. */
function overrideOf(pod: Pod): ResourceRequirements | undefined {
  const text = pod.metadata.annotations?.[NODE_ANNOTATIONS.resources];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as ResourceRequirements;
  } catch {
    return undefined;
  }
}

/** Amounts that are no quantities count as absent: the API has validated what a user writes. */
export function limitsOf(pod: Pod, container: Container): ContainerLimits {
  const first = pod.spec.containers[0]?.name === container.name;
  const { limits = {}, requests = {} } = (first ? overrideOf(pod) : undefined) ?? container.resources ?? {};
  const known = (value: number) => (Number.isFinite(value) && value > 0 ? value : undefined);
  const cpuMillis = known(parseCpuMillis(limits.cpu ?? ''));
  const memoryBytes = known(Math.floor(parseQuantity(limits.memory ?? '')));
  const cpuRequestMillis = known(parseCpuMillis(requests.cpu ?? ''));
  return {
    ...(cpuMillis === undefined ? {} : { cpuMillis }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpuRequestMillis === undefined ? {} : { cpuRequestMillis }),
  };
}
