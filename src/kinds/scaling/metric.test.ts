import assert from 'node:assert/strict';
import test from 'node:test';
import { metricSpec } from './metric.ts';

const OWN = 'autoscaling.petrel.dev/metric-';
const own = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [OWN + name, value]));

test('what annotations name, and what is wrong with them', () => {
  assert.equal(metricSpec({}, undefined, 100), undefined);
  assert.deepEqual(metricSpec({}, 'cpu', undefined), {
    source: 'usage',
    metric: 'cpu',
    server: '',
    query: '',
    target: 80,
  });
  assert.equal(metricSpec({}, 'memory', 200)?.target, 200);
  const prometheus = { source: 'prometheus', server: 'http://p:9090', query: 'up', target: '7.5' };
  assert.equal(metricSpec(own(prometheus), undefined, undefined)?.target, 7.5);
  const wrong: [Record<string, string>, string | undefined, RegExp][] = [
    [{}, 'orders', /metric-source: must say where/],
    [{}, 'memory', /metric-target: must say/],
    [{ source: 'lag' }, undefined, /metric-target: must say/],
    [{ source: 'lag', target: '0' }, undefined, /must be a number above 0/],
    [{ source: 'lag', target: '1e3' }, undefined, /must be a number above 0/],
    [{ ...prometheus, server: 'file:///etc/passwd' }, undefined, /metric-server/],
    [{ ...prometheus, query: '' }, undefined, /metric-query/],
    [{ ...prometheus, query: 'x'.repeat(5000) }, undefined, /metric-query/],
  ];
  for (const [values, metric, message] of wrong)
    assert.throws(() => metricSpec(own(values), metric, undefined), message);
});
