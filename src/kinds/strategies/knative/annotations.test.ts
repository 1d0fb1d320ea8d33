import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configured, denied, image, service } from './testing.ts';

const A = 'autoscaling.knative.dev';
const M = 'spec.template.metadata.annotations';
const annotations: [Record<string, string>, string, Record<string, Record<string, string>>?][] = [
  [{ [`${A}/min-scale`]: '1', [`${A}/maxScale`]: '0', [`${A}/target`]: '10', [`${A}/window`]: '6s' }, ''],
  [{ [`${A}/class`]: 'mine', [`${A}/metric`]: 'anything' }, ''],
  [{ [`${A}/class`]: `hpa.${A}`, [`${A}/metric`]: 'cpu' }, ''],
  [{ [`${A}/initial-scale`]: '0' }, ''],
  [{ [`${A}/target-burst-capacity`]: '-1' }, ''],
  [{ [`${A}/class`]: `nope.${A}` }, `invalid value: nope.${A}: ${M}.${A}/class`],
  [{ [`${A}/min-scale`]: 'x' }, `invalid value: x: ${M}.${A}/min-scale`],
  [{ [`${A}/minScale`]: '-1' }, `expected 0 <= -1 <= 2147483647: ${M}.${A}/minScale`],
  [{ [`${A}/max-scale`]: '2147483648' }, `expected 0 <= 2147483648 <= 2147483647: ${M}.${A}/max-scale`],
  [
    { [`${A}/min-scale`]: '3', [`${A}/maxScale`]: '2' },
    `max-scale=2 is less than min-scale=3: ${M}.${A}/max-scale, ${M}.${A}/min-scale`,
  ],
  [
    { [`${A}/max-scale`]: '11' },
    `expected 1 <= 11 <= 10: ${M}.${A}/max-scale`,
    { autoscaler: { 'max-scale-limit': '10', 'max-scale': '5' } },
  ],
  [
    { [`${A}/max-scale`]: '0' },
    `max-scale=0 (unlimited), must be less than 10: ${M}.${A}/max-scale`,
    { autoscaler: { 'max-scale-limit': '10', 'max-scale': '5' } },
  ],
  [{ [`${A}/activation-scale`]: 'x' }, `invalid value: x: ${M}.${A}/activation-scale`],
  [
    { [`${A}/activation-scale`]: '1' },
    `activation-scale=1 must be greater than 1: ${M}.${A}/activation-scale`,
  ],
  [
    { [`${A}/activation-scale`]: '2', [`${A}/min-scale`]: '3' },
    `min-scale=3 is greater than activation-scale=2: ${M}.${A}/activation-scale`,
  ],
  [
    { [`${A}/activation-scale`]: '4', [`${A}/max-scale`]: '3' },
    `max-scale=3 is less than activation-scale=4: ${M}.${A}/activation-scale`,
  ],
  [{ [`${A}/panic-window-percentage`]: 'x' }, `invalid value: x: ${M}.${A}/panic-window-percentage`],
  [{ [`${A}/panicWindowPercentage`]: '0.5' }, `expected 1 <= 0.5 <= 100: ${M}.${A}/panicWindowPercentage`],
  [
    { [`${A}/panic-threshold-percentage`]: '109' },
    `expected 110 <= 109 <= 1000: ${M}.${A}/panic-threshold-percentage`,
  ],
  [
    { [`${A}/panic-threshold-percentage`]: '10000' },
    `expected 110 <= 10000 <= 1000: ${M}.${A}/panic-threshold-percentage`,
  ],
  [{ [`${A}/target`]: 'x' }, `invalid value: x: ${M}.${A}/target`],
  [{ [`${A}/target`]: '0' }, `target 0 should be at least 0.01: ${M}.${A}/target`],
  [
    { [`${A}/target-utilization-percentage`]: '0' },
    `expected 1 <= 0 <= 100: ${M}.${A}/target-utilization-percentage`,
  ],
  [
    { [`${A}/target-utilization-percentage`]: 'x' },
    `invalid value: x: ${M}.${A}/target-utilization-percentage`,
  ],
  [{ [`${A}/target-burst-capacity`]: '-2' }, `invalid value: -2: ${M}.${A}/target-burst-capacity`],
  [{ [`${A}/targetBurstCapacity`]: 'x' }, `invalid value: x: ${M}.${A}/targetBurstCapacity`],
  [{ [`${A}/window`]: 'x' }, `invalid value: x: ${M}.${A}/window`],
  [{ [`${A}/window`]: '5s' }, `expected 6s <= 5s <= 1h0m0s: ${M}.${A}/window`],
  [{ [`${A}/window`]: '3601s' }, `expected 6s <= 3601s <= 1h0m0s: ${M}.${A}/window`],
  [{ [`${A}/window`]: '6984ms' }, `must be specified with at most second precision: ${M}.${A}/window`],
  [
    { [`${A}/scale-to-zero-pod-retention-period`]: '-1s' },
    `expected 0s <= -1s <= 1h0m0s: ${M}.${A}/scale-to-zero-pod-retention-period`,
  ],
  [
    { [`${A}/scaleToZeroPodRetentionPeriod`]: 'x' },
    `invalid value: x: ${M}.${A}/scaleToZeroPodRetentionPeriod`,
  ],
  [{ [`${A}/scale-down-delay`]: 'x' }, `invalid value: x: ${M}.${A}/scale-down-delay`],
  [{ [`${A}/scale-down-delay`]: '61m' }, `expected 0s <= 61m <= 1h0m0s: ${M}.${A}/scale-down-delay`],
  [
    { [`${A}/scaleDownDelay`]: '1111ms' },
    `must be specified with at most second precision: ${M}.${A}/scaleDownDelay`,
  ],
  [{ [`${A}/metric`]: 'cpu' }, `invalid value: cpu: ${M}.${A}/metric`],
  [{ [`${A}/metric`]: '', [`${A}/class`]: `hpa.${A}` }, `invalid value: : ${M}.${A}/metric`],
  [
    { [`${A}/metric-aggregation-algorithm`]: 'x', [`${A}/class`]: `kpa.${A}` },
    `invalid value: x: ${M}.${A}/metric-aggregation-algorithm`,
  ],
  [{ [`${A}/initial-scale`]: '-1' }, `invalid value: -1: ${M}.${A}/initial-scale must be greater than 0`],
  [{ [`${A}/initialScale`]: 'x' }, `invalid value: x: ${M}.${A}/initialScale`],
  [
    { [`${A}/initial-scale`]: '0' },
    `invalid value: 0: ${M}.${A}/initial-scale=0 not allowed by cluster`,
    { autoscaler: { 'allow-zero-initial-scale': 'false' } },
  ],
  [
    { 'networking.knative.dev/foo': 'x', 'networking.knative.dev/http-protocol': 'x' },
    `invalid key name "networking.knative.dev/foo": ${M}`,
  ],
  [
    { 'queue.sidecar.serving.knative.dev/cpu-resource-limit': 'x' },
    `invalid value: x: ${M}.[queue.sidecar.serving.knative.dev/cpu-resource-limit]`,
  ],
  [
    { 'queue.sidecar.serving.knative.dev/resourcePercentage': '0.01' },
    `expected 0.1 <= 0.01 <= 100: ${M}.[queue.sidecar.serving.knative.dev/resourcePercentage]`,
  ],
  [
    { 'serving.knative.dev/progress-deadline': 'x' },
    `invalid value: x: ${M}.serving.knative.dev/progress-deadline`,
  ],
  [
    { 'serving.knative.dev/progress-deadline': '1s1ms' },
    `progress-deadline=1s1ms is not at second precision: ${M}.serving.knative.dev/progress-deadline`,
  ],
  [
    { 'serving.knative.dev/progress-deadline': '-1s' },
    `progress-deadline=-1s must be positive: ${M}.serving.knative.dev/progress-deadline`,
  ],
  [{ 'client.knative.dev/user-image': 'x', 'features.knative.dev/http-full-duplex': 'enabled' }, ''],
];
for (const [given, expected, maps = {}] of annotations) {
  test(`annotations of a template: ${JSON.stringify(given)}${expected === '' ? '' : ' refused'}`, () =>
    assert.equal(denied('services', service(image, {}, { annotations: given }), configured(maps)), expected));
}
