/** Values of Prometheus queries, asked for as long as somebody watches. */

import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { MetricSource } from './metrics.ts';

export interface PrometheusOptions {
  clock: Clock;
  log: Logger;
  fetch?: typeof fetch;
}

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 5000;
const MOST_BYTES = 256 * 1024;

/** Values of `revision` scope: the sum of what the query yields. A query that fails leaves the last value in force. */
export function createPrometheusSource({ clock, log, ...options }: PrometheusOptions): MetricSource {
  // Looked up when it is needed: it is large.
  const get = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request));
  return {
    name: 'prometheus',
    watch({ key, spec }, listener) {
      let stopped = false;
      let timer: Timer | undefined;
      let failing = false;
      const ask = async () => {
        try {
          const value = await query(get, spec.server, spec.query);
          failing = false;
          if (!stopped) listener(value, 'revision');
        } catch (error) {
          // Said once, not every ten seconds.
          if (!failing && !stopped) {
            const reason = messageOf(error);
            log.warn('a metric cannot be read; its last value stays in force', {
              revision: key,
              error: reason,
            });
          }
          failing = true;
        }
        if (!stopped) timer = clock.after(INTERVAL_MS, ask);
      };
      void ask();
      return () => {
        stopped = true;
        timer?.cancel();
      };
    },
  };
}

/** One instant query. Throws for anything but a number, or numbers, which are added up; nothing found is 0. */
async function query(get: typeof fetch, server: string, text: string): Promise<number> {
  const url = new URL(`${server.replace(/\/+$/, '')}/api/v1/query`);
  url.searchParams.set('query', text);
  const response = await get(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await bounded(response);
  if (!response.ok) throw new Error(`status ${response.status}`);
  const { status, data } = JSON.parse(body) as {
    status?: string;
    data?: { resultType?: string; result?: unknown };
  };
  if (status !== 'success' || !Array.isArray(data?.result)) throw new Error('no result');
  const samples =
    data.resultType === 'vector'
      ? data.result.map((item: { value?: unknown[] }) => item?.value?.[1])
      : data.resultType === 'scalar'
        ? [data.result[1]]
        : [undefined];
  const sum = samples.reduce<number>((all, sample) => all + Number(sample ?? Number.NaN), 0);
  if (!Number.isFinite(sum) || sum < 0) throw new Error(`the query yields no number of 0 or more`);
  return sum;
}

async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MOST_BYTES) throw new Error(`the answer is larger than ${MOST_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
