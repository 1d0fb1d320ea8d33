/** Cold starts through the gateway: pool hit, a large bundle with and without its code cache, an empty pool. */
import { largeBundle } from '../lib/bundle.ts';
import { coldSeries } from '../lib/cold.ts';
import { createFunctions, emptyPool, functionObject, settled, uploadSource } from '../lib/functions.ts';
import { type BenchPlatform, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const FUNCTIONS_PER_SERIES = 40;

async function series(
  platform: BenchPlatform,
  prefix: string,
  count: number,
  source: (index: number) => string,
  file: string,
) {
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    const name = `${prefix}-${index}`;
    const digest = await uploadSource(platform, file, source(index));
    await createFunctions(platform, [functionObject(name, digest, file)]);
    names.push(name);
  }
  return names;
}

const hello = (index: number) =>
  `export default { fetch: (request: Request) => new Response('hello ${index} ' + request.method) };\n`;

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  const platform = await startPlatform();
  try {
    const small = await series(platform, 'hello', FUNCTIONS_PER_SERIES, hello, 'hello.ts');
    await settled(platform);
    const hit = await coldSeries(platform, small);
    rows.push(
      {
        what: 'cold start, pool hit, node hello, p50',
        value: quantile(hit, 0.5),
        unit: 'ms',
        reach: { at: 6, better: 'lower' },
      },
      {
        what: 'cold start, pool hit, node hello, p99',
        value: quantile(hit, 0.99),
        unit: 'ms',
        reach: { at: 20, better: 'lower' },
      },
    );

    const bundle = await largeBundle();
    const digest = await uploadSource(platform, 'bundle.cjs', bundle);
    const names = Array.from({ length: 25 }, (_, index) => `bundle-${index}`);
    for (const name of names) await createFunctions(platform, [functionObject(name, digest, 'bundle.cjs')]);
    await settled(platform);
    const [first, ...cached] = await coldSeries(platform, names);
    rows.push(
      {
        what: `cold start, pool hit, ${Math.round(bundle.length / 1024)} KB bundle, first time`,
        value: first ?? Number.NaN,
        unit: 'ms',
      },
      {
        what: 'the same, code cache (p50)',
        value: quantile(cached.slice(4), 0.5),
        unit: 'ms',
        reach: { at: 18, better: 'lower' },
      },
    );

    const empty = await series(platform, 'empty', 25, hello, 'hello.ts');
    await settled(platform);
    await emptyPool(platform, 'node');
    const bare = await coldSeries(platform, empty, 100);
    rows.push({
      what: 'cold start, empty pool, node hello, p50',
      value: quantile(bare, 0.5),
      unit: 'ms',
      reach: { at: 80, better: 'lower' },
    });
  } finally {
    await platform.stop();
  }
  return rows;
}
