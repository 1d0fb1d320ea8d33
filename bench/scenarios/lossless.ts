/** Changes of every kind under 500 requests a second: none may fail. */

import { KSERVICES } from '../../src/kube/refs.ts';
import { CHANGES, ready, type Subject } from '../lib/changes.ts';
import { hostOf } from '../lib/functions.ts';
import { failures, latencies, startLoad } from '../lib/open-loop.ts';
import { startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';
import { program, serviceObject } from '../lib/services.ts';

const RATE = 500;
/** Load before and after the change itself. */
const MARGIN_SECONDS = 1;
const margin = () => new Promise((resolve) => setTimeout(resolve, MARGIN_SECONDS * 1000));

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const rows: Row[] = [];
  try {
    await platform.client.create(
      KSERVICES,
      serviceObject('steady', program(5), { 'autoscaling.knative.dev/min-scale': '1' }),
    );
    const subject: Subject = { client: platform.client, pid: platform.pid, name: 'steady' };
    await ready(subject);
    for (const change of CHANGES) {
      const begun = performance.now();
      const load = startLoad({
        ...platform.gateway,
        name: hostOf('steady'),
        requestsPerSecond: RATE,
        seconds: 120,
      });
      await margin();
      await change.run(subject);
      const took = performance.now() - begun - MARGIN_SECONDS * 1000;
      await margin();
      load.stop();
      const result = await load.done;
      rows.push({
        what: `${RATE} requests/s, ${change.what}: failed`,
        value: failures(result),
        unit: '',
        reach: { at: 0, better: 'lower' },
        note: `of ${result.sent}; ${(took / 1000).toFixed(1)} s; p99 ${quantile(latencies(result), 0.99).toFixed(0)} ms${
          failures(result) > 0 ? `; ${JSON.stringify(result.errors)}` : ''
        }`,
      });
    }
    return rows;
  } finally {
    await platform.stop();
  }
}
