/** A large package and a project with many dependencies: what the platform adds to the bytes and to the package manager's own time. */
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type BenchPlatform, residentBytes, startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const run = promisify(execFile);
const LARGE_MIB = 256;
const MIB = 2 ** 20;
/** Brings some 200 packages. */
const DEPENDENCIES = { express: '5.1.0', webpack: '5.99.9', jest: '29.7.0' };
const ROUNDS = 3;
/** What they depend on is taken as of this day: the same packages in every run, and none that a mirror does not have yet. */
const AS_OF = '2025-07-01';

/** A folder with one handler and a file of bytes that no compression makes smaller. */
async function largeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'index.mjs'), "export default () => new Response('large');\n");
  const file = await open(path.join(folder, 'weights.bin'), 'w');
  const block = Buffer.alloc(4 * MIB);
  for (let written = 0; written < LARGE_MIB * MIB; written += block.length)
    await file.write(randomFillSync(block));
  await file.close();
}

async function large(platform: BenchPlatform, scratch: string): Promise<Row[]> {
  const folder = path.join(scratch, 'large');
  await largeFolder(folder);
  await sleep(3000);
  const before = await residentBytes(platform.pid);
  let most = before;
  let done = false;
  const watching = (async () => {
    while (!done) {
      most = Math.max(most, await residentBytes(platform.pid));
      await sleep(10);
    }
  })();
  const from = performance.now();
  await platform.petrel('deploy', folder);
  const seconds = (performance.now() - from) / 1000;
  done = true;
  await watching;
  return [
    {
      what: `package of ${LARGE_MIB} MiB: memory that the platform takes for it`,
      value: (most - before) / MIB,
      unit: 'MiB',
      reach: { at: 32, better: 'lower' },
      note: `deployed in ${seconds.toFixed(1)} s, packaging included`,
    },
  ];
}

async function dependencies(platform: BenchPlatform, scratch: string): Promise<Row[]> {
  const folder = path.join(scratch, 'shop');
  await mkdir(folder, { recursive: true });
  const manifest = { private: true, type: 'module', main: 'index.js', dependencies: DEPENDENCIES };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest));
  const source = (version: number) =>
    writeFile(
      path.join(folder, 'index.js'),
      `import express from 'express';\nexport default () => new Response('${version} ' + typeof express);\n`,
    );
  await source(0);
  await run('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund', `--before=${AS_OF}`], {
    cwd: folder,
  });
  // What both then do with a warm cache.
  const bare = path.join(scratch, 'bare');
  const own: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    await rm(bare, { recursive: true, force: true });
    await mkdir(bare);
    for (const name of ['package.json', 'package-lock.json'])
      await run('cp', [path.join(folder, name), bare]);
    const from = performance.now();
    await run('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: bare });
    if (round > 0) own.push(performance.now() - from);
  }
  const ours: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    await source(round + 1);
    const from = performance.now();
    await platform.petrel('deploy', folder);
    if (round > 0) ours.push(performance.now() - from);
  }
  const [tool, whole] = [median(own) / 1000, median(ours) / 1000];
  return [
    {
      what: 'deploy of an npm project with some 200 packages, warm cache: over `npm ci` alone',
      value: whole - tool,
      unit: 's',
      reach: { at: 2, better: 'lower' },
      note: `npm ci ${tool.toFixed(1)} s, deploy until it answers ${whole.toFixed(1)} s`,
    },
  ];
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  const scratch = await mkdtemp(path.join(tmpdir(), 'petrel-bench-packages-'));
  try {
    return [...(await large(platform, scratch)), ...(await dependencies(platform, scratch))];
  } finally {
    await platform.stop();
    await rm(scratch, { recursive: true, force: true });
  }
}
