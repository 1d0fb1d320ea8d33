/** From `up --detach` to the first request that could be served, and what the idle control plane costs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cpuSeconds, petrel, request, residentBytes, startPlatform, writtenBytes } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const ROUNDS = 7;
const SETTLE_SECONDS = 15;
const WATCH_SECONDS = 30;
const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function startToFirstAnswer(home: string): Promise<number> {
  const from = performance.now();
  const platform = await startPlatformTimed(home);
  const answer = await request(platform.gateway, 'localhost', '/_petrel/healthz');
  if (answer.status !== 200) throw new Error(`gateway health answered ${answer.status}`);
  const took = performance.now() - from - platform.overheadMs;
  await platform.stop();
  return took;
}

/** The status call after `up` is the harness's, not the start's; its time is taken off. */
async function startPlatformTimed(home: string) {
  await petrel(home, ['up', '--detach', '--gateway', '127.0.0.1:0', '--api', '127.0.0.1:0']);
  const from = performance.now();
  const status = JSON.parse(await petrel(home, ['status', '-o', 'json'])) as { gateway: string };
  const url = new URL(status.gateway.includes('://') ? status.gateway : `http://${status.gateway}`);
  return {
    gateway: { host: url.hostname, port: Number(url.port) },
    overheadMs: performance.now() - from,
    stop: () => petrel(home, ['down']),
  };
}

export async function measure(): Promise<Row[]> {
  const fresh: number[] = [];
  const again: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const home = await mkdtemp(path.join(tmpdir(), 'petrel-bench-'));
    fresh.push(await startToFirstAnswer(home));
    again.push(await startToFirstAnswer(home));
    await rm(home, { recursive: true, force: true });
  }
  const platform = await startPlatform();
  try {
    await sleep(SETTLE_SECONDS);
    const [cpuBefore, writtenBefore] = [await cpuSeconds(platform.pid), await writtenBytes(platform.pid)];
    await sleep(WATCH_SECONDS);
    const cpu = ((await cpuSeconds(platform.pid)) - cpuBefore) / WATCH_SECONDS;
    const written = (await writtenBytes(platform.pid)) - writtenBefore;
    return [
      {
        what: '`up --detach` to first answer, fresh home',
        value: median(fresh) / 1000,
        unit: 's',
        reach: { at: 0.6, better: 'lower' },
      },
      {
        what: '`up --detach` to first answer, second start',
        value: median(again) / 1000,
        unit: 's',
        reach: { at: 0.6, better: 'lower' },
      },
      {
        what: 'idle control plane, resident memory',
        value: (await residentBytes(platform.pid)) / 2 ** 20,
        unit: 'MiB',
        reach: { at: 150, better: 'lower' },
      },
      {
        what: 'idle control plane, CPU',
        value: cpu * 100,
        unit: '% of a core',
        reach: { at: 0.5, better: 'lower' },
      },
      {
        what: 'idle control plane, disk writes',
        value: written,
        unit: `B in ${WATCH_SECONDS} s`,
        reach: { at: 0, better: 'lower' },
      },
    ];
  } finally {
    await platform.stop();
  }
}
