/** Requests in numbers: how they are divided, and whether all are answered while something changes. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../../lib/platform.ts';
import type { Cluster } from './cluster.ts';

/** Requests to each URL whose division is looked at. */
const REQUESTS = 200;
const AT_ONCE = 8;
/** Of each of two revisions that share the traffic evenly. */
const AT_LEAST = 0.25;
const MIN_PROBES = 10;
const PROBE_PAUSE_MS = 5;

/** Every answer of 200 is one of `texts`, and each of them comes: all of them where there is one, a quarter where there are two. */
export async function assertDistribution(
  cluster: Cluster,
  url: string | undefined,
  texts: string[],
): Promise<void> {
  const counts = new Map<string, number>();
  let left = REQUESTS;
  const client = async () => {
    while (left-- > 0) {
      const { body } = await cluster.ask(url);
      const text = texts.find((one) => body.includes(one)) ?? body;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  const unexpected = [...counts.keys()].filter((text) => !texts.includes(text));
  assert.deepEqual(unexpected, [], `answers of ${url}`);
  const least = texts.length === 1 ? REQUESTS : REQUESTS * AT_LEAST;
  for (const text of texts)
    assert.ok((counts.get(text) ?? 0) >= least, `${url}: ${JSON.stringify([...counts])}`);
}

/** Sends requests without a break until `stop`, which fails when one of them was not answered with 200. */
export function startProber(cluster: Cluster, url: string | undefined): { stop(): Promise<void> } {
  const bad: (Answer | Error)[] = [];
  let sent = 0;
  let stopped = false;
  const running = (async () => {
    while (!stopped || sent < MIN_PROBES) {
      const answer = await cluster.ask(url).catch((error: Error) => error);
      sent++;
      if (answer instanceof Error || answer.status !== 200) bad.push(answer);
      await sleep(PROBE_PAUSE_MS);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await running;
      assert.deepEqual(bad, [], `all of ${sent} requests while things changed`);
    },
  };
}

/** `work` while a prober runs. */
export async function whileProbing(
  cluster: Cluster,
  url: string | undefined,
  work: () => Promise<void>,
): Promise<void> {
  const prober = startProber(cluster, url);
  try {
    await work();
  } finally {
    await prober.stop();
  }
}
