import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { createServer } from '../../base/http.ts';
import { silentLogger } from '../../base/log.ts';
import type { MetricSpec } from '../../kinds/scaling/metric.ts';
import type { Revision } from '../../kinds/serving.ts';
import { createPushedMetrics, routeOf } from './metrics.ts';
import { createPrometheusSource } from './prometheus.ts';
import { createUsageSource, type Usage } from './usage.ts';

const revision: Revision = {
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: { name: 'r', namespace: 'default' },
  spec: { containers: [{ name: 'c', resources: { requests: { cpu: '500m' } } }] },
};

test('a pushed value reaches who watches, first and later, and nobody afterwards', () => {
  const lag = createPushedMetrics('lag');
  lag.publish('default/r', 3);
  const values: number[] = [];
  const end = lag.watch(
    { key: 'default/r', revision, spec: {} as MetricSpec, instances: () => [] },
    (value) => values.push(value),
  );
  lag.publish('default/r', 9);
  lag.publish('default/other', 1);
  end();
  lag.publish('default/r', 12);
  assert.deepEqual(values, [3, 9]);
});

test('a value that is told by route reaches the revisions behind it, and lasts while nobody watches', () => {
  const lag = createPushedMetrics('lag', routeOf);
  const behind: Revision = {
    ...revision,
    metadata: { ...revision.metadata, labels: { 'serving.knative.dev/service': 'orders' } },
  };
  const values: number[] = [];
  const watch = () =>
    lag.watch({ key: 'default/r', revision: behind, spec: {} as MetricSpec, instances: () => [] }, (value) =>
      values.push(value),
    );
  lag.publish('default/orders', 3);
  watch()();
  watch()();
  lag.publish('default/orders', 0);
  watch()();
  assert.deepEqual(values, [3, 3]);
});

async function prometheus(t: TestContext, answer: (query: string) => { status?: number; body: string }) {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const { status = 200, body } = answer(url.searchParams.get('query') ?? '');
    response.writeHead(status, status === 302 ? { location: 'http://127.0.0.1:1/' } : {});
    response.end(url.pathname === '/base/api/v1/query' ? body : 'wrong path');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`;
}

test('Prometheus: samples are added up; what is no answer leaves the last value in force', async (t) => {
  const vector = (...values: string[]) =>
    JSON.stringify({
      status: 'success',
      data: { resultType: 'vector', result: values.map((value) => ({ metric: {}, value: [1, value] })) },
    });
  const answers = [
    { body: vector('1.5', '2') },
    { body: vector() },
    { status: 500, body: 'no' },
    { status: 302, body: '' },
    { body: vector('NaN') },
    { body: `{"pad":"${'x'.repeat(300_000)}"}` },
    { body: '{"status":"error"}' },
    { body: JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '42'] } }) },
  ];
  const asked: string[] = [];
  const server = await prometheus(t, (query) => {
    asked.push(query);
    return answers[Math.min(asked.length, answers.length) - 1]!;
  });
  let due: (() => void) | undefined;
  const clock = {
    ...simulatedClock(),
    after(_ms: number, callback: () => void) {
      due = callback;
      return { cancel: () => (due = undefined) };
    },
  };
  const source = createPrometheusSource({ clock, log: silentLogger });
  const values: [number, string][] = [];
  const spec = { source: 'prometheus', metric: 'value', server, query: 'sum(x) > 1', target: 1 };
  const end = source.watch({ key: 'default/r', revision, spec, instances: () => [] }, (value, scope) =>
    values.push([value, scope]),
  );
  for (let round = 1; round <= answers.length; round++) {
    while (due === undefined) await new Promise((resolve) => setImmediate(resolve));
    const next: () => void = due;
    due = undefined;
    if (round < answers.length) next();
  }
  end();
  assert.equal(asked[0], 'sum(x) > 1');
  assert.deepEqual(values, [
    [3.5, 'revision'],
    [0, 'revision'],
    [42, 'revision'],
  ]);
});

test('usage: percent of the request over the time between two looks, mebibytes at once', async () => {
  const clock = simulatedClock();
  let usage = new Map<string, Usage>([['a', { cpuMs: 1000, memoryBytes: 64 * 2 ** 20 }]]);
  const source = createUsageSource({ clock, read: async () => usage });
  const cpu: number[] = [];
  const memory: number[] = [];
  const watch = (metric: string, to: number[]) => {
    const spec = { source: 'usage', metric, server: '', query: '', target: 80 };
    return source.watch({ key: 'default/r', revision, spec, instances: () => ['a', 'b'] }, (value) =>
      to.push(value),
    );
  };
  const ends = [watch('cpu', cpu), watch('memory', memory)];
  await clock.advance(0);
  usage = new Map([
    ['a', { cpuMs: 4000, memoryBytes: 32 * 2 ** 20 }],
    ['b', { cpuMs: 50, memoryBytes: 96 * 2 ** 20 }],
  ]);
  await clock.advance(15_000);
  // 3 s of 15 s is a fifth of a core, two fifths of half a core; b was not known before.
  assert.deepEqual([cpu, memory], [[40], [64, 64]]);
  for (const end of ends) end();
  await clock.advance(60_000);
  assert.equal(clock.pending(), 0);
});
