/** From an event that is sent to the function that is called with it, and how many a second all the way. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBroker, createTriggers, produce, sendEvent } from '../lib/events.ts';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const LOW_LOAD = 500;
const PAUSE_MS = 5;
const LOAD_SECONDS = 8;

/** Answers what it was called with: when, by id, for as long as few come; and how many. */
const SOURCE = `
const calls = {};
let count = 0;
export default { async fetch(request: Request) {
  if (request.method === 'GET') return Response.json({ calls, count });
  const at = Number(process.hrtime.bigint()) / 1e6;
  if (++count <= 2000) calls[request.headers.get('ce-id') ?? ''] = at;
  await request.arrayBuffer();
  return new Response(null, { status: 204 });
} };
`;

interface Calls {
  calls: Record<string, number>;
  count: number;
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const digest = await uploadSource(platform, 'sink.ts', SOURCE);
    const one = functionObject('sink', digest, 'sink.ts');
    // one instance counts all of it
    one.metadata.annotations = {
      'autoscaling.knative.dev/min-scale': '1',
      'autoscaling.knative.dev/max-scale': '1',
    };
    await createFunctions(platform, [one]);
    await createBroker(platform);
    await createTriggers(platform, 'sink', { all: [] });
    const calls = async () => JSON.parse((await request(platform.gateway, hostOf('sink'))).body) as Calls;

    for (let i = 0; i < 200; i++) await sendEvent(platform, agent, `warm-${i}`);
    await sleep(1000);
    const sent: Record<string, { sent: number; accepted: number }> = {};
    for (let i = 0; i < LOW_LOAD; i++) {
      sent[`e${i}`] = await sendEvent(platform, agent, `e${i}`);
      await sleep(PAUSE_MS);
    }
    await sleep(1000);
    const low = (await calls()).calls;
    const whole = Object.entries(sent).map(([id, at]) => (low[id] ?? Number.POSITIVE_INFINITY) - at.sent);
    const after = Object.entries(sent).map(([id, at]) => (low[id] ?? Number.POSITIVE_INFINITY) - at.accepted);

    const before = (await calls()).count;
    const from = performance.now();
    const load = await produce(platform, { connections: 50, seconds: LOAD_SECONDS });
    const accepted = load.requestsPerSecond * LOAD_SECONDS;
    let delivered = 0;
    for (let still = 0; still < 20; await sleep(100)) {
      const now = (await calls()).count - before;
      still = now === delivered ? still + 1 : 0;
      delivered = now;
      if (delivered >= accepted) break;
    }
    const seconds = (performance.now() - from) / 1000;
    return [
      {
        what: 'event sent → function called, warm, low load, p50',
        value: quantile(whole, 0.5),
        unit: 'ms',
        reach: { at: 2, better: 'lower' },
        note: `from the 202: p50 ${quantile(after, 0.5).toFixed(2)} ms, p99 ${quantile(after, 0.99).toFixed(2)} ms`,
      },
      {
        what: 'event sent → function called, warm, low load, p99',
        value: quantile(whole, 0.99),
        unit: 'ms',
        reach: { at: 10, better: 'lower' },
      },
      {
        what: 'events, 1 KB, all the way to one instance',
        value: delivered / seconds,
        unit: 'events/s',
        note: `${Math.round(accepted)} accepted at ${Math.round(load.requestsPerSecond)}/s beside it, ${delivered} delivered`,
      },
    ];
  } finally {
    agent.destroy();
    await platform.stop();
  }
}
