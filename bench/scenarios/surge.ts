/** From nothing to 3,000 requests a second on something that takes 100 ms, and what the gateway adds to a request's way. */

import type { Pod } from '../../src/kinds/pod.ts';
import { KSERVICES, PODS } from '../../src/kube/refs.ts';
import { createFunctions, functionObject, hostOf, settled, uploadSource } from '../lib/functions.ts';
import { failures, type LoadResult, latencies, startLoad } from '../lib/open-loop.ts';
import { type BenchPlatform, startPlatform, wrk } from '../lib/platform.ts';
import { median, quantile, type Row } from '../lib/report.ts';
import { atZero, program, serviceObject, whenReady } from '../lib/services.ts';

const RATE = 3000;
const SECONDS = 12;
const SETTLING_SECONDS = 2;

const surge = (platform: BenchPlatform, name: string): Promise<LoadResult> =>
  startLoad({ ...platform.gateway, name: hostOf(name), requestsPerSecond: RATE, seconds: SECONDS }).done;

function rows(what: string, result: LoadResult): Row[] {
  const after = latencies(result, SETTLING_SECONDS);
  return [
    {
      what: `0 → ${RATE.toLocaleString('en')} requests/s, ${what}: errors`,
      value: failures(result),
      unit: '',
      reach: { at: 0, better: 'lower' },
      note: Object.keys(result.errors).length > 0 ? JSON.stringify(result.errors) : '',
    },
    {
      what: `0 → ${RATE.toLocaleString('en')} requests/s, ${what}: p95 after ${SETTLING_SECONDS} s`,
      value: quantile(after, 0.95),
      unit: 'ms',
      reach: { at: 110, better: 'lower' },
      note: `p50 ${quantile(after, 0.5).toFixed(1)} ms, p99 ${quantile(after, 0.99).toFixed(1)} ms; each takes 100 ms`,
    },
    {
      what: `0 → ${RATE.toLocaleString('en')} requests/s, ${what}: longest`,
      value: Math.max(...latencies(result)) / 1000,
      unit: 's',
      reach: { at: 2, better: 'lower' },
    },
  ];
}

/** What the gateway adds at one connection: the same program asked directly and through the gateway, in turns. */
async function overhead(platform: BenchPlatform): Promise<Row> {
  await platform.client.create(
    KSERVICES,
    serviceObject('direct', program(), { 'autoscaling.knative.dev/min-scale': '1' }),
  );
  await whenReady(platform, ['direct']);
  const { items } = await platform.client.list<Pod>(PODS, {
    labelSelector: 'serving.knative.dev/service=direct',
  });
  const port = items[0]?.metadata.annotations?.['petrel.dev/port'];
  const added: number[] = [];
  for (let round = 0; round < 5; round++) {
    const direct = await wrk(`http://${items[0]?.status?.podIP}:${port}/`, { connections: 1, seconds: 2 });
    const through = await wrk(`http://${platform.gateway.host}:${platform.gateway.port}/`, {
      connections: 1,
      seconds: 2,
      host: hostOf('direct'),
    });
    added.push(through.p50ms - direct.p50ms);
  }
  return {
    what: 'latency that the path through the gateway adds, p50',
    value: median(added),
    unit: 'ms',
    reach: { at: 0.15, better: 'lower' },
    note: 'one hop, 1 connection, HTTP/1.1 program, median of 5 pairs',
  };
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const source =
      'export default { fetch: async () => { await new Promise((done) => setTimeout(done, 100)); return new Response("hello"); } };\n';
    const digest = await uploadSource(platform, 'slow.ts', source);
    await createFunctions(platform, [functionObject('slow', digest, 'slow.ts')]);
    await platform.client.create(KSERVICES, serviceObject('slow-program', program(100)));
    await whenReady(platform, ['slow-program']);
    await settled(platform);
    await atZero(platform);
    const asFunction = await surge(platform, 'slow');
    const asProgram = await surge(platform, 'slow-program');
    return [...rows('function', asFunction), ...rows('program', asProgram), await overhead(platform)];
  } finally {
    await platform.stop();
  }
}
