/** Many at once: 500 connections on one function, and 100 different functions woken together. */
import { createFunctions, functionObject, hostOf, settled, uploadSource } from '../lib/functions.ts';
import { request, startPlatform, wrk } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const WOKEN = 100;

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const names = Array.from({ length: WOKEN }, (_, index) => `woken-${index}`);
    for (const [index, name] of names.entries()) {
      const digest = await uploadSource(
        platform,
        'hello.ts',
        `export default { fetch: () => new Response('hello ${index}') };\n`,
      );
      await createFunctions(platform, [functionObject(name, digest, 'hello.ts')]);
    }
    await settled(platform);
    const answers = await Promise.all(
      names.map((name) =>
        request(platform.gateway, hostOf(name)).catch(() => ({ status: 0, body: '', ms: 0 })),
      ),
    );
    const errors = answers.filter((answer) => answer.status !== 200).length;
    const times = answers.map((answer) => answer.ms);

    const one = `http://${platform.gateway.host}:${platform.gateway.port}/`;
    const load = await wrk(one, { connections: 500, seconds: 8, host: hostOf('woken-0') });
    const single = await wrk(one, { connections: 1, seconds: 3, host: hostOf('woken-0') });
    return [
      {
        what: `${WOKEN} functions woken at once, errors`,
        value: errors,
        unit: '',
        reach: { at: 0, better: 'lower' },
      },
      {
        what: `${WOKEN} functions woken at once, p95`,
        value: quantile(times, 0.95) / 1000,
        unit: 's',
        reach: { at: 2, better: 'lower' },
      },
      {
        what: '500 connections on one function, errors',
        value: load.errors,
        unit: '',
        reach: { at: 0, better: 'lower' },
      },
      {
        what: '500 connections on one function',
        value: load.requestsPerSecond,
        unit: 'requests/s',
        note: `p50 ${load.p50ms} ms, p99 ${load.p99ms} ms, load generator on the same cores`,
      },
      { what: 'warm latency at 1 connection, p50', value: single.p50ms, unit: 'ms' },
    ];
  } finally {
    await platform.stop();
  }
}
