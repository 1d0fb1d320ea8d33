/** A thousand Knative Services: how soon each is Ready, and what they cost in memory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CODE_ANNOTATIONS } from '../../src/kinds/function.ts';
import { KSERVICES } from '../../src/kube/refs.ts';
import { uploadSource } from '../lib/functions.ts';
import { residentBytes, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';
import { serviceObject, whenReady } from '../lib/services.ts';

const COUNT = 1000;
/** Services that are on their way at once. */
const AT_ONCE = 4;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const digest = await uploadSource(
      platform,
      'hello.ts',
      `export default { fetch: () => new Response('hello') };\n`,
    );
    const object = (name: string) => {
      const one = serviceObject(name, [], { 'autoscaling.knative.dev/initial-scale': '0' });
      Object.assign(one.spec.template.metadata?.annotations ?? {}, {
        [CODE_ANNOTATIONS.package]: digest,
        [CODE_ANNOTATIONS.runtime]: 'node',
        [CODE_ANNOTATIONS.entry]: 'hello.ts',
      });
      one.spec.template.spec.containers = [{ name: 'user-container', image: 'petrel.dev/runtime/node' }];
      return one;
    };
    await sleep(15_000);
    const before = await residentBytes(platform.pid);
    const begun = new Map<string, number>();
    const names = Array.from({ length: COUNT }, (_, index) => `svc-${index}`);
    const ready = whenReady(platform, names, 300_000);
    const queue = [...names];
    const from = performance.now();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
          begun.set(name, performance.now());
          await platform.client.create(KSERVICES, object(name));
        }
      }),
    );
    const times = [...(await ready)].map(([name, at]) => at - (begun.get(name) ?? at));
    const all = performance.now() - from;
    await sleep(20_000);
    const each = ((await residentBytes(platform.pid)) - before) / COUNT / 1024;
    return [
      {
        what: `${COUNT} Services: create → Ready, p95`,
        value: quantile(times, 0.95) / 1000,
        unit: 's',
        reach: { at: 1, better: 'lower' },
        note: `${AT_ONCE} at once, p50 ${quantile(times, 0.5).toFixed(0)} ms, all in ${(all / 1000).toFixed(1)} s; initial scale 0`,
      },
      {
        what: `${COUNT} Services: resident memory added by each`,
        value: each,
        unit: 'KiB',
        reach: { at: 100, better: 'lower' },
      },
    ];
  } finally {
    await platform.stop();
  }
}
