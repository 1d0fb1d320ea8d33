/** Many functions at once, through the same doors as the command line: the package socket and the API. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { packDirectory } from '../../src/functions/pack.ts';
import { type Digest, FUNCTION_LABELS, type PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS, PODS, RUNTIMES } from '../../src/kube/refs.ts';
import type { BenchPlatform } from './platform.ts';

/** Puts one source file into the platform's package store. */
export async function uploadSource(
  platform: BenchPlatform,
  fileName: string,
  source: string,
): Promise<Digest> {
  const directory = await mkdtemp(path.join(tmpdir(), 'petrel-bench-src-'));
  const file = path.join(directory, fileName);
  await writeFile(file, source);
  const packed = await packDirectory(file);
  try {
    await new Promise<void>((resolve, reject) => {
      const call = http.request(
        {
          socketPath: path.join(platform.home, 'run', 'platform.sock'),
          method: 'PUT',
          path: `/packages/${packed.digest}`,
        },
        (response) => {
          response.resume();
          response.on('end', () =>
            (response.statusCode ?? 500) < 300
              ? resolve()
              : reject(new Error(`package upload: ${response.statusCode}`)),
          );
        },
      );
      call.on('error', reject);
      Readable.from(packed.stream()).pipe(call);
    });
    return packed.digest;
  } finally {
    await packed.dispose();
    await rm(directory, { recursive: true, force: true });
  }
}

/** A Function that goes back to zero quickly; with `initialScale` 0 it is not proved by an instance at deploy. */
export function functionObject(
  name: string,
  digest: Digest,
  entry: string,
  initialScale: 0 | 1 = 1,
): PetrelFunction {
  return {
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: {
      name,
      namespace: 'default',
      annotations: {
        'autoscaling.knative.dev/initial-scale': String(initialScale),
        'autoscaling.knative.dev/window': '6s',
      },
    },
    spec: { runtime: 'node', package: { digest }, entry },
  };
}

/** Waits until no function has an instance and the pools are full again. */
export async function settled(platform: BenchPlatform): Promise<void> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const { items } = await platform.client.list(PODS, {
      labelSelector: `${FUNCTION_LABELS.pool}=specialised`,
    });
    if (items.length === 0) break;
    if (performance.now() > deadline)
      throw new Error(`${items.length} instances are still there after 180 s`);
    await sleep(250);
  }
  await sleep(2500);
}

/** Takes a runtime's warm instances away and keeps them from coming back. */
export async function emptyPool(platform: BenchPlatform, runtime: string): Promise<void> {
  await platform.client.patch(RUNTIMES, undefined, runtime, 'merge', { spec: { pool: { min: 0, max: 0 } } });
  const labelSelector = `${FUNCTION_LABELS.pool}=generic,${FUNCTION_LABELS.runtime}=${runtime}`;
  for (let left = 1; left > 0; await sleep(500)) {
    const { items } = await platform.client.list(PODS, { labelSelector });
    left = items.length;
    for (const { metadata } of items)
      await platform.client.delete(PODS, metadata.namespace, metadata.name).catch(() => undefined);
  }
}

/** Creates functions and waits until each is Ready. */
export async function createFunctions(platform: BenchPlatform, functions: PetrelFunction[]): Promise<void> {
  for (const one of functions) await platform.client.create(FUNCTIONS, one);
  const waiting = new Set(functions.map((one) => one.metadata.name));
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), 120_000);
  const { items, resourceVersion } = await platform.client.list<PetrelFunction>(FUNCTIONS, {
    namespace: 'default',
  });
  const seen = (one: PetrelFunction) => {
    if (one.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'))
      waiting.delete(one.metadata.name);
  };
  items.forEach(seen);
  if (waiting.size > 0) {
    for await (const event of platform.client.watch<PetrelFunction>(FUNCTIONS, {
      namespace: 'default',
      resourceVersion,
      signal: abort.signal,
    })) {
      if (event.type === 'ADDED' || event.type === 'MODIFIED') seen(event.object);
      if (waiting.size === 0) break;
    }
  }
  clearTimeout(timer);
  abort.abort();
  if (waiting.size > 0) throw new Error(`not ready within 120 s: ${[...waiting].slice(0, 5).join(', ')} …`);
}

/** Host under which the gateway answers a function. */
export const hostOf = (name: string) => `${name}.default.localhost`;
