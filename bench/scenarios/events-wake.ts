/** An event for a function of which nothing runs: how long until it is called. */
import http from 'node:http';
import { createBroker, createTriggers, monotonic, sendEvent } from '../lib/events.ts';
import { createFunctions, functionObject, settled, uploadSource } from '../lib/functions.ts';
import { startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const RUNS = 10;

export async function measure(): Promise<Row[]> {
  const called = new Map<string, number>();
  const told = http.createServer((request, response) => {
    called.set(String(request.headers['ce-id']), Number(request.headers['ce-at']));
    request.resume();
    response.end();
  });
  await new Promise<void>((resolve) => told.listen(0, '127.0.0.1', resolve));
  const { port } = told.address() as { port: number };
  const platform = await startPlatform();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    // its answer, an event that another trigger brings here, says when it was called
    const source = `export default { async fetch(request: Request) {
      const at = Number(process.hrtime.bigint()) / 1e6;
      const id = request.headers.get('ce-id') ?? '';
      return new Response(null, { headers: { 'ce-specversion': '1.0', 'ce-source': '/zero', 'ce-type': 'called', 'ce-id': id, 'ce-at': String(at) } });
    } };\n`;
    const digest = await uploadSource(platform, 'zero.ts', source);
    await createFunctions(platform, [functionObject('zero', digest, 'zero.ts')]);
    await createBroker(platform);
    await createTriggers(platform, 'zero', { zero: [{ prefix: { type: 'com.' } }] });
    await createTriggers(
      platform,
      { uri: `http://127.0.0.1:${port}/` },
      { told: [{ exact: { type: 'called' } }] },
    );
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      await settled(platform);
      const { sent } = await sendEvent(platform, agent, `wake-${i}`);
      for (const deadline = monotonic() + 10_000; !called.has(`wake-${i}`); ) {
        if (monotonic() > deadline) throw new Error('the function was not called within 10 s');
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      times.push(called.get(`wake-${i}`)! - sent);
    }
    return [
      {
        what: 'event sent → function called, from zero, p50',
        value: quantile(times, 0.5),
        unit: 'ms',
        reach: { at: 50, better: 'lower' },
        note: `${RUNS} times, slowest ${Math.max(...times).toFixed(1)} ms; KEDA looks every 30 s by default`,
      },
    ];
  } finally {
    agent.destroy();
    told.close().closeAllConnections();
    await platform.stop();
  }
}
