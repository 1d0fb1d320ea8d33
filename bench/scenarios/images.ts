/** Container images: from zero to the first answer, beside the same program without an image; and how fast an image comes and is unpacked. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRegistry } from '../../src/functions/testing/registry.ts';
import { KSERVICES } from '../../src/kube/refs.ts';
import { pushImage } from '../../test/lib/images.ts';
import { coldSeries } from '../lib/cold.ts';
import { type BenchPlatform, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';
import { goProgram, serviceObject, whenReady } from '../lib/services.ts';

const COLD = 15;
const PAUSE_MS = 1500;
/** Files of a large image, and bytes of each: that of a Node application with its modules. */
const FILES = 10_000;
const FILE_BYTES = 10_000;
const ZERO = { 'autoscaling.knative.dev/initial-scale': '0' };

type Registry = Awaited<ReturnType<typeof startRegistry>>;

/** In turn, each of a Service of its own that has no instance. */
async function fromZero(platform: BenchPlatform, registry: Registry, binary: string): Promise<Row[]> {
  const { reference } = pushImage(
    registry,
    'hello:1',
    [[{ name: 'hello', mode: 0o755, owner: 0, body: readFileSync(binary) }]],
    { Entrypoint: ['/hello'] },
  );
  const kinds = { image: [], host: [binary] };
  const names: Record<string, string[]> = { image: [], host: [] };
  for (const [kind, command] of Object.entries(kinds)) {
    for (let index = 0; index < COLD; index++) {
      const one = serviceObject(`${kind}-${index}`, command, ZERO);
      if (kind === 'image')
        one.spec.template.spec.containers = [{ name: 'user-container', image: reference }];
      await platform.client.create(KSERVICES, one);
      names[kind]?.push(one.metadata.name);
    }
  }
  await whenReady(platform, Object.values(names).flat());
  const times: Record<string, number[]> = { image: [], host: [] };
  for (let index = 0; index < COLD; index++) {
    for (const kind of Object.keys(kinds))
      times[kind]?.push(...(await coldSeries(platform, [names[kind]?.[index] ?? ''], PAUSE_MS)));
  }
  // The first of each brings what is then there for all.
  const of = (kind: string, share: number) => quantile(times[kind]?.slice(1) ?? [], share);
  return [
    {
      what: 'from zero, a program in an image of its own (static Go), p50',
      value: of('image', 0.5),
      unit: 'ms',
      note: `p95 ${of('image', 0.95).toFixed(0)} ms; the same program on the machine's files ${of('host', 0.5).toFixed(1)} ms; the first, with the pull, ${times.image?.[0]?.toFixed(0)} ms`,
    },
  ];
}

async function pulled(platform: BenchPlatform, registry: Registry, binary: string): Promise<Row[]> {
  const files = Array.from({ length: FILES }, (_, index) => ({
    name: `app/${index % 100}/${index}.js`,
    body: Buffer.concat([randomBytes(FILE_BYTES / 4), Buffer.alloc((FILE_BYTES * 3) / 4, 'x')]),
  }));
  const main = [{ name: 'hello', mode: 0o755, owner: 0, body: readFileSync(binary) }];
  const { reference } = pushImage(registry, 'large:1', [files, main], { Entrypoint: ['/hello'] });
  const one = serviceObject('large', []);
  one.spec.template.spec.containers = [{ name: 'user-container', image: reference }];
  const from = performance.now();
  await platform.client.create(KSERVICES, one);
  const seconds = ((await whenReady(platform, ['large'])).get('large') ?? 0) - from;
  return [
    {
      what: `an image of ${FILES.toLocaleString('en')} files, ${(FILES * FILE_BYTES) / 1e6} MB: create → Ready, the pull included`,
      value: seconds / 1000,
      unit: 's',
    },
  ];
}

export async function measure(): Promise<Row[]> {
  const go = await goProgram();
  if (go === undefined) {
    process.stderr.write('images: skipped: there is no Go to make a static program with\n');
    return [];
  }
  const ends: (() => unknown)[] = [];
  const registry = await startRegistry({
    after: (end: () => unknown) => ends.push(end),
  } as unknown as TestContext);
  const platform = await startPlatform();
  try {
    await sleep(2000);
    const [binary = ''] = go;
    return [...(await fromZero(platform, registry, binary)), ...(await pulled(platform, registry, binary))];
  } finally {
    await platform.stop();
    for (const end of ends) end();
  }
}
