/** A thousand functions: listing them, what they cost in memory, how soon a new route is visible. */

import type { PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS, ROUTES } from '../../src/kube/refs.ts';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { request, residentBytes, startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const COUNT = 1000;
/** The gateway refuses an unknown host within this time, ms. */
const ANSWER_MS = 4;
const sleep = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms));

/** Whether the gateway knows a host: it answers an unknown one at once, and lets a request wait for an instance otherwise. */
async function routed(gateway: { host: string; port: number }, host: string): Promise<boolean> {
  const answer = await Promise.race([request(gateway, host), sleep(ANSWER_MS)]);
  return answer === undefined || answer.status !== 404;
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const digest = await uploadSource(
      platform,
      'hello.ts',
      `export default { fetch: () => new Response('hello') };\n`,
    );
    const from = performance.now();
    await createFunctions(
      platform,
      Array.from({ length: COUNT }, (_, index) => functionObject(`many-${index}`, digest, 'hello.ts', 0)),
    );
    const deployed = performance.now() - from;

    const lists: number[] = [];
    for (let round = 0; round < 7; round++) {
      const start = performance.now();
      const { items } = await platform.client.list<PetrelFunction>(FUNCTIONS, { namespace: 'default' });
      if (items.length !== COUNT) throw new Error(`listed ${items.length} of ${COUNT}`);
      lists.push(performance.now() - start);
    }

    const visible: number[] = [];
    for (let round = 0; round < 7; round++) {
      // A changed Route (a tag's host appears) is what the gateway has to learn; the function behind it stays.
      const name = `many-${round * 10}`;
      const route = await platform.client.get<
        { status?: { traffic?: { revisionName?: string }[] } } & PetrelFunction
      >(ROUTES, 'default', name);
      const revisionName = route.status?.traffic?.[0]?.revisionName;
      if (!revisionName) throw new Error(`route ${name} has no traffic`);
      const start = performance.now();
      await platform.client.patch(
        { ...ROUTES, plural: 'services', kind: 'Service' },
        'default',
        name,
        'merge',
        {
          spec: {
            traffic: [
              { latestRevision: true, percent: 100 },
              { revisionName, tag: `t${round}`, percent: 0 },
            ],
          },
        },
      );
      while (!(await routed(platform.gateway, `t${round}-${hostOf(name)}`))) await sleep(1);
      visible.push(performance.now() - start);
    }
    await sleep(15_000);
    return [
      {
        what: `${COUNT} functions: list`,
        value: median(lists) / 1000,
        unit: 's',
        reach: { at: 0.2, better: 'lower' },
      },
      {
        what: `${COUNT} functions: resident memory`,
        value: (await residentBytes(platform.pid)) / 2 ** 20,
        unit: 'MiB',
        reach: { at: 300, better: 'lower' },
      },
      {
        what: `${COUNT} functions: route change visible at the gateway`,
        value: median(visible),
        unit: 'ms',
        reach: { at: 50, better: 'lower' },
      },
      { what: `${COUNT} functions: time to create and make ready all`, value: deployed / 1000, unit: 's' },
    ];
  } finally {
    await platform.stop();
  }
}
