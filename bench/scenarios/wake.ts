/** From zero: one program, 25 and 100 at once, each a process of its own that no pool holds ready. */

import { setTimeout as sleep } from 'node:timers/promises';
import { KSERVICES } from '../../src/kube/refs.ts';
import { hostOf } from '../lib/functions.ts';
import { type BenchPlatform, request, startPlatform } from '../lib/platform.ts';
import { quantile, type Row } from '../lib/report.ts';
import { atZero, goProgram, program, serviceObject, whenReady } from '../lib/services.ts';

const ROUNDS = 10;
const MOST = 100;

async function wake(platform: BenchPlatform, names: string[]): Promise<{ ms: number[]; errors: number }> {
  await atZero(platform);
  await sleep(1000);
  const answers = await Promise.all(
    names.map((name) =>
      request(platform.gateway, hostOf(name)).catch(() => ({ status: 0, body: '', ms: 0 })),
    ),
  );
  return {
    ms: answers.map(({ ms }) => ms),
    errors: answers.filter(({ status }) => status !== 200).length,
  };
}

/** One language: alone, 25 and 100 at once. */
async function series(platform: BenchPlatform, language: string, command: string[]): Promise<Row[]> {
  const names = Array.from({ length: MOST }, (_, index) => `${language.toLowerCase()}-${index}`);
  for (const name of names) {
    await platform.client.create(KSERVICES, serviceObject(name, command));
    await whenReady(platform, [name]);
  }
  const alone: number[] = [];
  let errors = 0;
  await atZero(platform);
  await sleep(1000);
  // Different Services, so that each is at zero.
  for (const name of names.slice(0, 2 * ROUNDS)) {
    const answer = await request(platform.gateway, hostOf(name));
    alone.push(answer.ms);
    if (answer.status !== 200) errors++;
    await sleep(300);
  }
  const few = await wake(platform, names.slice(0, 25));
  const many = await wake(platform, names);
  return [
    {
      what: `scale from zero, 1 ${language} program, p95`,
      value: quantile(alone, 0.95),
      unit: 'ms',
      reach: { at: 150, better: 'lower' },
      note: `p50 ${quantile(alone, 0.5).toFixed(0)} ms`,
    },
    {
      what: `scale from zero, 25 ${language} programs at once, p95`,
      value: quantile(few.ms, 0.95) / 1000,
      unit: 's',
      reach: { at: 1, better: 'lower' },
    },
    {
      what: `scale from zero, 100 ${language} programs at once, p95`,
      value: quantile(many.ms, 0.95) / 1000,
      unit: 's',
      reach: { at: 3, better: 'lower' },
    },
    {
      what: `scale from zero, ${language}, errors`,
      value: errors + few.errors + many.errors,
      unit: '',
      reach: { at: 0, better: 'lower' },
    },
  ];
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    const go = await goProgram();
    return [...(go ? await series(platform, 'Go', go) : []), ...(await series(platform, 'Node', program()))];
  } finally {
    await platform.stop();
  }
}
