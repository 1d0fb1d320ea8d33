/** How fast events are accepted for good: on disk before the 202. Gateway, engine and load generator share the machine. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBroker, produce, sendEvent } from '../lib/events.ts';
import { startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const PRODUCERS = 200;
const LOW_LOAD = 1000;
const PAUSE_MS = 5;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    await createBroker(platform);
    await produce(platform, { connections: PRODUCERS, seconds: 5 });
    const load = await produce(platform, { connections: PRODUCERS, seconds: 10 });
    await sleep(2000);
    const low: number[] = [];
    for (let i = 0; i < LOW_LOAD; i++) {
      const { sent, accepted } = await sendEvent(platform, agent, `low-${i}`);
      low.push(accepted - sent);
      await sleep(PAUSE_MS);
    }
    const what = `events accepted durably, 1 KB, ${PRODUCERS} producers`;
    return [
      {
        what,
        value: load.requestsPerSecond,
        unit: 'events/s',
        reach: { at: 30_000, better: 'higher' },
        note: `${load.errors} refused`,
      },
      {
        what: `${what}, p99`,
        value: load.p99ms,
        unit: 'ms',
        reach: { at: 10, better: 'lower' },
        note: `p50 ${load.p50ms} ms, as fast as they can`,
      },
      {
        what: 'events accepted durably, low load, p99',
        value: quantile(low, 0.99),
        unit: 'ms',
        reach: { at: 5, better: 'lower' },
        note: `p50 ${quantile(low, 0.5).toFixed(2)} ms, one every ${PAUSE_MS} ms and more`,
      },
    ];
  } finally {
    agent.destroy();
    await platform.stop();
  }
}
