/** Asynchronous invocation: how long it takes until a request is accepted for good, and how many are carried out. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { type BenchPlatform, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const ONE_BY_ONE = 500;
const AT_ONCE = 200;
const MANY = 10_000;

function accept(platform: BenchPlatform, agent: http.Agent): Promise<number> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    const call = http.request(
      {
        ...platform.gateway,
        agent,
        method: 'POST',
        path: '/',
        headers: { host: hostOf('later'), 'x-petrel-invoke-mode': 'async', 'content-length': 5 },
      },
      (response) => {
        response.resume();
        response.on('end', () =>
          response.statusCode === 202
            ? resolve(performance.now() - from)
            : reject(new Error(`answered ${response.statusCode}, not 202`)),
        );
      },
    );
    call.on('error', reject);
    call.end('later');
  });
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  try {
    const source = `let done = 0;\nexport default { fetch: (request: Request) => new Response(String(request.method === 'POST' ? ++done : done)) };\n`;
    const digest = await uploadSource(platform, 'later.ts', source);
    await createFunctions(platform, [functionObject('later', digest, 'later.ts')]);
    for (let warm = 0; warm < 50; warm++) await accept(platform, agent);
    const single: number[] = [];
    for (let count = 0; count < ONE_BY_ONE; count++) single.push(await accept(platform, agent));
    await sleep(2000);
    const times: number[] = [];
    let begun = 0;
    const from = performance.now();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (begun++ < MANY) times.push(await accept(platform, agent));
      }),
    );
    const seconds = (performance.now() - from) / 1000;
    return [
      {
        what: 'asynchronous: accepted durably, one at a time, p99',
        value: quantile(single, 0.99),
        unit: 'ms',
        reach: { at: 5, better: 'lower' },
        note: `p50 ${quantile(single, 0.5).toFixed(2)} ms`,
      },
      {
        what: `asynchronous: accepted durably, ${AT_ONCE} at once`,
        value: MANY / seconds,
        unit: 'requests/s',
        note: `p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms, carried out beside it`,
      },
    ];
  } finally {
    agent.destroy();
    await platform.stop();
  }
}
