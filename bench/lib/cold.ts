/** Cold starts one after the other: what the scenarios about them share. */
import { setTimeout as sleep } from 'node:timers/promises';
import { hostOf } from './functions.ts';
import { type BenchPlatform, request } from './platform.ts';

/** Pools are full again after this time between two of them, milliseconds. */
export const REFILL_MS = 750;

/** One request to each function in turn; resolves with their times, milliseconds. Throws when one does not answer 200. */
export async function coldSeries(
  platform: BenchPlatform,
  names: string[],
  pauseMs: number = REFILL_MS,
): Promise<number[]> {
  const times: number[] = [];
  for (const name of names) {
    const answer = await request(platform.gateway, hostOf(name));
    if (answer.status !== 200)
      throw new Error(`${name} answered ${answer.status}: ${answer.body.slice(0, 500)}`);
    times.push(answer.ms);
    await sleep(pauseMs);
  }
  return times;
}
