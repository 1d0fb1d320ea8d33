/** Calls under Fission's names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricsText } from '../../base/openmetrics.ts';
import { CALL_BUCKETS_MS, type RevisionCalls } from '../../gateway/contract.ts';
import { addTo, callFamilies, type Totals } from './metrics.ts';

const calls = (more: Partial<RevisionCalls> = {}): RevisionCalls => ({
  label: '/hello',
  method: 'GET',
  status: 200,
  count: 1,
  cold: 0,
  sumMs: 7,
  buckets: CALL_BUCKETS_MS.map((ms) => (ms === 10 ? 1 : 0)).concat(0),
  ...more,
});
const totalsOf = (...all: RevisionCalls[]): Totals => {
  const totals: Totals = new Map();
  for (const one of all) addTo(totals, one);
  return totals;
};

test('calls, errors, times and cold starts, with the labels that dashboards ask for', () => {
  const totals = totalsOf(
    calls({ cold: 1 }),
    calls(),
    calls({ status: 503 }),
    calls({ status: 0, label: '' }),
  );
  const versioned = totalsOf(calls({ cold: 2 }));
  const text = metricsText(
    callFamilies([
      { namespace: 'ns', name: 'f', version: '', totals },
      { namespace: 'ns', name: 'f', version: 'f-v1', totals: versioned },
    ]),
  );
  const own = 'function_namespace="ns",function_name="f"';
  const lines = text.split('\n');
  for (const line of [
    `fission_function_calls_total{${own},path="/hello",method="GET",code="200"} 2`,
    `fission_function_calls_total{${own},function_version="f-v1",path="/hello",method="GET",code="200"} 1`,
    `fission_function_errors_total{${own},path="/hello",method="GET",code="503"} 1`,
    `fission_function_errors_total{${own},path="",method="GET",code="499"} 1`,
    `fission_function_overhead_seconds_bucket{${own},path="/hello",method="GET",code="200",le="0.005"} 0`,
    `fission_function_overhead_seconds_bucket{${own},path="/hello",method="GET",code="200",le="0.01"} 2`,
    `fission_function_overhead_seconds_bucket{${own},path="/hello",method="GET",code="200",le="+Inf"} 2`,
    `fission_function_overhead_seconds_sum{${own},path="/hello",method="GET",code="200"} 0.014`,
    `fission_function_overhead_seconds_count{${own},path="/hello",method="GET",code="200"} 2`,
    'fission_function_cold_starts_total{function_name="f",function_namespace="ns"} 3',
  ])
    assert.ok(lines.includes(line), `${line}\n${text}`);
  assert.ok(
    !text.includes(
      'errors_total{function_namespace="ns",function_name="f",path="/hello",method="GET",code="200"',
    ),
  );
});

test('a function that answers with ever other statuses does not fill the memory; every call is counted', () => {
  const totals: Totals = new Map();
  for (let i = 0; i < 5000; i++) addTo(totals, calls({ label: `/${i}` }));
  assert.ok(totals.size <= 1001, String(totals.size));
  assert.equal(
    [...totals.values()].reduce((sum, { count }) => sum + count, 0),
    5000,
  );
});
