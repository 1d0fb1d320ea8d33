/** What a Pod asks for as a whole. Source: kubernetes `component-helpers/resource`, `PodRequests`. */
import type { Pod, PodSpec } from './pod.ts';
import { parseCpuMillis, parseQuantity } from './quantity.ts';

/** Amounts by resource: cpu in thousandths of a core, everything else in base units. */
export type Amounts = Record<string, number>;

type Container = PodSpec['containers'][number];

/** One quantity; what is none counts as nothing. */
export function amountOf(resource: string, text: string | number): number {
  const value = resource === 'cpu' ? parseCpuMillis(text) : parseQuantity(text);
  return Number.isFinite(value) ? value : 0;
}

/**
 * The sum over the containers and the sidecars, or what an init container needs beside the sidecars that run before it where
 * that is more. `of`: which of a container's amounts are meant.
 */
export function podAmounts(
  { spec }: Pod,
  of: (resources: NonNullable<Container['resources']>) => Record<string, string>,
): Amounts {
  const amounts = ({ resources = {} }: Container): [string, number][] =>
    Object.entries(of(resources)).map(([name, text]) => [name, amountOf(name, text)]);
  const total: Amounts = {};
  const sidecars: Amounts = {};
  const initial: Amounts = {};
  const add = (sum: Amounts, list: [string, number][]) => {
    for (const [name, value] of list) sum[name] = (sum[name] ?? 0) + value;
  };
  for (const container of spec.containers) add(total, amounts(container));
  for (const container of spec.initContainers ?? []) {
    const list = amounts(container);
    if (container.restartPolicy === 'Always') {
      add(sidecars, list);
      add(total, list);
    }
    for (const [name, value] of list) {
      const beside = (sidecars[name] ?? 0) + (container.restartPolicy === 'Always' ? 0 : value);
      initial[name] = Math.max(initial[name] ?? 0, beside);
    }
  }
  for (const [name, value] of Object.entries(initial)) total[name] = Math.max(total[name] ?? 0, value);
  return total;
}
