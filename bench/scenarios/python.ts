/** The python runtime: cold starts, of heavy code with and without a zygote of its own, many functions woken at once, and what instances cost. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Digest, FUNCTION_LABELS, type PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS, PODS } from '../../src/kube/refs.ts';
import { coldSeries } from '../lib/cold.ts';
import { createFunctions, functionObject, hostOf, settled, uploadSource } from '../lib/functions.ts';
import { processesOfPod, proportionalBytes } from '../lib/instances.ts';
import { type BenchPlatform, request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';

const HELLO = (index: number) => `def handler(request):\n    return "hello ${index}"\n`;
/** Uses what it imports, and never the same library as the runtime itself. */
const HEAVY = `import numpy as np
def handler(request):
    return str(float(np.ones(1000).sum()))
`;
/** Without a registry: what of the standard library takes long to import, and the runtime does not import itself. */
const HEAVY_WITHOUT = `import doctest, pydoc, sqlite3, statistics, unittest.mock, xml.dom.minidom, xmlrpc.server, multiprocessing.pool, imaplib, ctypes.util
def handler(request):
    return str(statistics.mean([1, 2, 3]))
`;
const COLD = 20;
const WARMING = 3;
const WAKINGS = 8;
const WOKEN = 100;
const GIB = 2 ** 30;
/** What an instance allocates after its start is there by then, ms. */
const AT_REST_MS = 2000;

const python = (name: string, digest: Digest, initialScale: 0 | 1, entry = 'main.py'): PetrelFunction => {
  const made = functionObject(name, digest, entry, initialScale);
  return { ...made, spec: { ...made.spec, runtime: 'python' } };
};

async function woken(platform: BenchPlatform, name: string): Promise<number> {
  const answer = await request(platform.gateway, hostOf(name));
  if (answer.status !== 200)
    throw new Error(`${name} answered ${answer.status}: ${answer.body.slice(0, 500)}`);
  return answer.ms;
}

/** Functions without an instance, each of a package of its own. */
async function hello(platform: BenchPlatform, prefix: string, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  for (const [index, name] of names.entries()) {
    const digest = await uploadSource(platform, 'main.py', HELLO(index));
    await createFunctions(platform, [python(name, digest, 0)]);
  }
  return names;
}

async function cold(platform: BenchPlatform): Promise<Row[]> {
  const names = await hello(platform, 'cold', COLD + WARMING);
  await sleep(AT_REST_MS);
  const times = (await coldSeries(platform, names)).slice(WARMING);
  return [
    {
      what: 'cold start from the pool, python hello, p50',
      value: quantile(times, 0.5),
      unit: 'ms',
      reach: { at: 8, better: 'lower' },
      note: `p95 ${quantile(times, 0.95).toFixed(1)} ms, of ${COLD}`,
    },
  ];
}

/** Each a function of its own, woken at once; then what their instances cost while they wait. */
async function many(platform: BenchPlatform): Promise<Row[]> {
  const names = await hello(platform, 'many', WOKEN);
  await settled(platform);
  const answers = await Promise.all(
    names.map((name) =>
      request(platform.gateway, hostOf(name)).catch(() => ({ status: 0, body: '', ms: 0 })),
    ),
  );
  const times = answers.map(({ ms }) => ms);
  await sleep(AT_REST_MS);
  const { items } = await platform.client.list(PODS, {
    labelSelector: `${FUNCTION_LABELS.pool}=specialised`,
  });
  const uids = items.map(({ metadata }) => metadata.uid ?? '');
  const bytes = processesOfPod(uids).map(proportionalBytes);
  return [
    {
      what: `${WOKEN} python functions woken at once, p95`,
      value: quantile(times, 0.95) / 1000,
      unit: 's',
      reach: { at: 0.8, better: 'lower' },
      note: `p50 ${(quantile(times, 0.5) / 1000).toFixed(2)} s, ${answers.filter(({ status }) => status !== 200).length} errors`,
    },
    {
      what: 'idle python instances for each GiB (proportional set size)',
      value: GIB / (bytes.reduce((sum, one) => sum + one, 0) / bytes.length),
      unit: '',
      reach: { at: 400, better: 'higher' },
      note: `of ${bytes.length}, after one request each`,
    },
  ];
}

/** Deploys code that takes long to import, with numpy where a registry has it; the spec of what is deployed, and its name. */
async function heavyCode(platform: BenchPlatform) {
  const scratch = await mkdtemp(path.join(tmpdir(), 'petrel-bench-python-'));
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--target', path.join(scratch, 'site-packages'), 'numpy'];
    const installed = await promisify(execFile)('python3', pip).then(
      () => true,
      () => false,
    );
    if (!installed) console.error('numpy cannot be had: the standard library takes its place');
    await writeFile(path.join(scratch, 'main.py'), installed ? HEAVY : HEAVY_WITHOUT);
    await platform.petrel('deploy', scratch, '--name', 'heavy-code', '--runtime', 'python');
    const { spec } = await platform.client.get<PetrelFunction>(FUNCTIONS, 'default', 'heavy-code');
    return { spec, library: installed ? 'numpy' : 'much of the standard library' };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** One function from zero again and again; and others of the same code that must not have a zygote of their own, in turn with it. */
async function heavy(platform: BenchPlatform): Promise<Row[]> {
  const { spec, library } = await heavyCode(platform);
  const make = (name: string, zygote?: string): PetrelFunction => {
    const made = python(name, spec.package?.digest ?? 'sha256:', 0);
    if (zygote !== undefined) Object.assign(made.metadata.annotations ?? {}, { 'petrel.dev/zygote': zygote });
    return made;
  };
  await createFunctions(platform, [make('heavy'), make('loaded', 'runtime'), make('started', 'off')]);
  const times: Record<string, number[]> = { heavy: [], loaded: [], started: [] };
  for (let round = 0; round < WAKINGS; round++) {
    for (const [name, list] of Object.entries(times)) list.push(await woken(platform, name));
    // What a Pod says of itself is written after the answer.
    await sleep(1000);
    await settled(platform);
  }
  const rest = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, list.slice(2)]));
  const p50 = (name: string) => quantile(rest[name] ?? [], 0.5);
  const slowest = Math.max(...(rest.heavy ?? []));
  return [
    {
      what: `cold start of a python function with ${library} that went to zero, p50`,
      value: p50('heavy'),
      unit: 'ms',
      reach: { at: 12, better: 'lower' },
      note: `first ${times.heavy?.[0]?.toFixed(0)} ms, slowest of the others ${slowest.toFixed(0)} ms`,
    },
    { what: 'the same, loaded in an instance of the pool, p50', value: p50('loaded'), unit: 'ms' },
    { what: 'the same, started from nothing, p50', value: p50('started'), unit: 'ms' },
  ];
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    return [...(await cold(platform)), ...(await many(platform)), ...(await heavy(platform))];
  } finally {
    await platform.stop();
  }
}
