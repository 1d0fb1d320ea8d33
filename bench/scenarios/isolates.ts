/** Isolates: a hundred different functions woken at once, and how many a GiB holds. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../src/kinds/function.ts';
import type { PodAutoscaler } from '../../src/kinds/serving-internal.ts';
import { POD_AUTOSCALERS } from '../../src/kube/refs.ts';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { proportionalBytes } from '../lib/instances.ts';
import { type BenchPlatform, cpuSeconds, request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const WOKEN = 100;
/** As many as fit in a GiB, by what it should reach. */
const HELD = 500;
/** Requests under way at a time while those are woken. */
const AT_A_TIME = 4;
const IDLE_SECONDS = 10;
const GIB = 2 ** 30;

/** `window`: how long it keeps its instance. */
const isolate = (name: string, digest: Digest, scale: 0 | 1, window: string) => {
  const made = functionObject(name, digest, 'worker.js', scale);
  Object.assign(made.metadata.annotations ?? {}, { 'autoscaling.knative.dev/window': window });
  return { ...made, spec: { ...made.spec, runtime: 'isolate' } };
};

/** Processes below one, by their parents. */
function below(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {} // it has ended meanwhile
  }
  const within = (pid: number | undefined): boolean =>
    pid !== undefined && (parents.get(pid) === root || within(parents.get(pid)));
  return [...parents.keys()].filter(within);
}

/** Processes of the isolate runtime, supervisors and workerd. */
const hosts = (platform: BenchPlatform): number[] =>
  below(platform.pid).filter((pid) => {
    try {
      return /runtimes\/isolate\/|workerd/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    } catch {
      return false;
    }
  });

async function wake(platform: BenchPlatform, name: string): Promise<number> {
  const { status, body, ms } = await request(platform.gateway, hostOf(name));
  if (status !== 200) throw new Error(`${name} answered ${status}: ${body.slice(0, 500)}`);
  return ms;
}

/** Waits until no function has an instance. Their Pods do not tell: those of this runtime hold many functions. */
async function atZero(platform: BenchPlatform): Promise<void> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const { items } = await platform.client.list<PodAutoscaler>(POD_AUTOSCALERS, { namespace: 'default' });
    // They are written when there is time: one that says nothing yet says nothing of its instances.
    if (items.length >= WOKEN && items.every(({ status }) => status?.actualScale === 0)) break;
    if (performance.now() > deadline) throw new Error('functions still have instances after 180 s');
    await sleep(500);
  }
  await sleep(3000);
}

async function atOnce(platform: BenchPlatform): Promise<Row[]> {
  const names = Array.from({ length: WOKEN }, (_, index) => `woken-${index}`);
  for (const [index, name] of names.entries()) {
    const source = `export default { fetch: () => new Response('hello ${index}') };\n`;
    const digest = await uploadSource(platform, 'worker.js', source);
    await createFunctions(platform, [isolate(name, digest, 1, '6s')]);
  }
  await atZero(platform);
  const times = await Promise.all(names.map((name) => wake(platform, name)));
  return [
    {
      what: `${WOKEN} isolates of different functions woken at once, p95`,
      value: quantile(times, 0.95) / 1000,
      unit: 's',
      reach: { at: 0.5, better: 'lower' },
      note: `p50 ${(quantile(times, 0.5) / 1000).toFixed(2)} s`,
    },
  ];
}

async function density(platform: BenchPlatform): Promise<Row[]> {
  const source = `export default { fetch: (request) => new Response('hello from ' + new URL(request.url).pathname) };\n`;
  const digest = await uploadSource(platform, 'worker.js', source);
  const names = Array.from({ length: HELD }, (_, index) => `held-${index}`);
  await createFunctions(
    platform,
    names.map((name) => isolate(name, digest, 0, '600s')),
  );
  for (let at = 0; at < HELD; at += AT_A_TIME)
    await Promise.all(names.slice(at, at + AT_A_TIME).map((name) => wake(platform, name)));
  await sleep(2000);
  const pids = hosts(platform);
  const bytes = pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0);
  const used = async () => {
    const each = await Promise.all(pids.map((pid) => cpuSeconds(pid).catch(() => 0)));
    return each.reduce((sum, one) => sum + one, 0);
  };
  const before = await used();
  await sleep(IDLE_SECONDS * 1000);
  const idle = (await used()) - before;
  return [
    {
      what: 'isolates for each GiB (proportional set size)',
      value: (GIB * HELD) / bytes,
      unit: '',
      reach: { at: 500, better: 'higher' },
      note: `of ${HELD}, each called once; ${Math.round(bytes / 2 ** 20)} MiB in ${pids.length} processes, warm ones included`,
    },
    {
      what: `${HELD} idle isolates, CPU`,
      value: (100 * idle) / IDLE_SECONDS,
      unit: '% of a core',
      reach: { at: 0.1, better: 'lower' },
    },
  ];
}

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const part of [atOnce, density]) {
    const platform = await startPlatform();
    try {
      rows.push(...(await part(platform)));
    } finally {
      await platform.stop();
    }
  }
  return rows;
}
