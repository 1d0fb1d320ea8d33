/** Instances that are forked from a warm process: a heavy function woken again, a burst of three times the pool, and what each costs. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Runtime } from '../../src/kinds/function.ts';
import { RUNTIMES } from '../../src/kube/refs.ts';
import { hugeBundle } from '../lib/bundle.ts';
import { createFunctions, functionObject, hostOf, settled, uploadSource } from '../lib/functions.ts';
import { instancesOf, proportionalBytes } from '../lib/instances.ts';
import { type BenchPlatform, request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const WAKINGS = 8;
const GIB = 2 ** 30;
const BUSY_REQUESTS = 2000;

async function woken(platform: BenchPlatform, name: string): Promise<number> {
  const answer = await request(platform.gateway, hostOf(name));
  if (answer.status !== 200)
    throw new Error(`${name} answered ${answer.status}: ${answer.body.slice(0, 500)}`);
  return answer.ms;
}

/** The same function, from zero each time. */
async function heavy(platform: BenchPlatform): Promise<Row[]> {
  const source = await hugeBundle();
  const digest = await uploadSource(platform, 'huge.cjs', source);
  await createFunctions(platform, [functionObject('huge', digest, 'huge.cjs')]);
  await settled(platform);
  const times: number[] = [];
  for (let round = 0; round < WAKINGS; round++) {
    times.push(await woken(platform, 'huge'));
    // What its Pod says of it is written after the answer.
    await sleep(1000);
    await settled(platform);
  }
  const size = `${(source.length / 2 ** 20).toFixed(1)} MB bundle`;
  return [
    {
      what: `cold start of a function that went to zero, ${size}, p50`,
      value: quantile(times.slice(2), 0.5),
      unit: 'ms',
      reach: { at: 12, better: 'lower' },
      note: `first ${times[0]?.toFixed(0)} ms, slowest of the others ${Math.max(...times.slice(2)).toFixed(0)} ms`,
    },
  ];
}

/** The same bundle without a zygote: every instance is started, with the code cache of those before. */
async function started(): Promise<Row[]> {
  process.env.PETREL_ZYGOTE = 'off';
  const platform = await startPlatform();
  try {
    const digest = await uploadSource(platform, 'huge.cjs', await hugeBundle());
    const names = Array.from({ length: WAKINGS }, (_, index) => `exec-${index}`);
    await createFunctions(
      platform,
      names.map((name) => functionObject(name, digest, 'huge.cjs', 0)),
    );
    await settled(platform);
    const times: number[] = [];
    for (const name of names) {
      times.push(await woken(platform, name));
      await sleep(1500);
    }
    return [
      {
        what: 'the same by exec with the code cache, p50',
        value: quantile(times.slice(3), 0.5),
        unit: 'ms',
        reach: { at: 140, better: 'lower' },
        note: `first ${times[0]?.toFixed(0)} ms`,
      },
    ];
  } finally {
    delete process.env.PETREL_ZYGOTE;
    await platform.stop();
  }
}

/** Three times as many at once as are warm, each of a function of its own. */
async function burst(platform: BenchPlatform): Promise<Row[]> {
  const source = (index: number) => `export default { fetch: () => new Response('hello ${index}') };\n`;
  const { status } = await platform.client.get<Runtime>(RUNTIMES, undefined, 'node');
  const warm = Math.max(1, status?.warm ?? 1);
  const names = Array.from({ length: Math.max(3 * warm, 12) }, (_, index) => `burst-${index}`);
  for (const [index, name] of names.entries()) {
    const digest = await uploadSource(platform, 'hello.ts', source(index));
    await createFunctions(platform, [functionObject(name, digest, 'hello.ts')]);
  }
  await settled(platform);
  const at = performance.now();
  const times = await Promise.all(names.map((name) => woken(platform, name)));
  const seconds = (performance.now() - at) / 1000;
  await sleep(500);
  const idle = instancesOf('burst-').map(proportionalBytes);
  for (let count = 0; count < BUSY_REQUESTS; count += names.length)
    await Promise.all(names.map((name) => woken(platform, name)));
  const busy = instancesOf('burst-').map(proportionalBytes);
  const perGib = (bytes: number[]) => GIB / (bytes.reduce((sum, one) => sum + one, 0) / bytes.length);
  return [
    {
      what: `burst of ${names.length} functions with ${warm} warm instances, p50`,
      value: quantile(times, 0.5),
      unit: 'ms',
      reach: { at: 40, better: 'lower' },
      note: `${Math.round(names.length / seconds)} instances a second`,
    },
    {
      what: 'the same, longest',
      value: Math.max(...times),
      unit: 'ms',
      reach: { at: 150, better: 'lower' },
    },
    {
      what: 'idle node instances for each GiB (proportional set size)',
      value: perGib(idle),
      unit: '',
      reach: { at: 300, better: 'higher' },
      note: `of ${idle.length}`,
    },
    {
      what: `the same after ${BUSY_REQUESTS} requests among them`,
      value: perGib(busy),
      unit: '',
      reach: { at: 100, better: 'higher' },
    },
  ];
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    return [...(await burst(platform)), ...(await heavy(platform)), ...(await started())];
  } finally {
    await platform.stop();
  }
}
