/** Cold starts of every runtime's template through the gateway, from a warm pool; and where a runtime brings none, its reason. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS } from '../../src/kube/refs.ts';
import { coldSeries } from '../lib/cold.ts';
import { createFunctions, functionObject } from '../lib/functions.ts';
import { type BenchPlatform, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const EACH = 12;
/** Those of the first functions fill caches that every later one has. */
const WARMING = 3;
/** Builds are over and pools are full after this time, milliseconds. */
const SETTLE_MS = 8000;
/** p50, milliseconds. */
const REACH: Record<string, number> = {
  node: 6,
  python: 8,
  go: 10,
  java: 40,
  ruby: 15,
  php: 15,
  wasm: 5,
  isolate: 6,
};

/** Functions of one deployed package, none of which has an instance. */
async function copies(platform: BenchPlatform, template: string): Promise<string[]> {
  const { spec } = await platform.client.get<PetrelFunction>(FUNCTIONS, 'default', template);
  const names = Array.from({ length: EACH + WARMING }, (_, index) => `${template}-${index}`);
  const made = names.map((name) => {
    const fn = functionObject(name, spec.package?.digest ?? 'sha256:', spec.entry ?? '', 0);
    const { entry: _, ...bare } = fn.spec;
    return { ...fn, spec: { ...bare, ...spec } };
  });
  await createFunctions(platform, made);
  return names;
}

/** Deploys every runtime's template; the names of those that this machine can run. */
async function deployed(platform: BenchPlatform, scratch: string): Promise<string[]> {
  const names = JSON.parse(await platform.petrel('init', '--list', '-o', 'json')) as string[];
  const there: string[] = [];
  for (const name of names) {
    const folder = path.join(scratch, name);
    try {
      await platform.petrel('init', folder, '--template', name);
      await platform.petrel('deploy', folder, '--name', `l-${name}`, '--runtime', name);
      there.push(name);
    } catch (error) {
      const { stderr = '' } = error as { stderr?: string };
      console.error(`skipped ${name}: ${stderr.trim() || (error as Error).message.split('\n')[0]}`);
    }
  }
  return there;
}

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  const platform = await startPlatform();
  const scratch = await mkdtemp(path.join(tmpdir(), 'petrel-bench-languages-'));
  try {
    const languages = await deployed(platform, scratch);
    const functions = new Map<string, string[]>();
    for (const name of languages) functions.set(name, await copies(platform, `l-${name}`));
    await sleep(SETTLE_MS);
    for (const [name, names] of functions) {
      const times = (await coldSeries(platform, names)).slice(WARMING);
      const at = REACH[name];
      rows.push({
        what: `cold start from the pool, ${name} template, p50`,
        value: quantile(times, 0.5),
        unit: 'ms',
        ...(at === undefined ? {} : { reach: { at, better: 'lower' } }),
        note: `p95 ${quantile(times, 0.95).toFixed(1)} ms`,
      });
      console.error(`${name}: ${quantile(times, 0.5).toFixed(1)} ms`);
    }
  } finally {
    await platform.stop();
    await rm(scratch, { recursive: true, force: true });
  }
  return rows;
}
