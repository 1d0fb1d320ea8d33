import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { Service } from '../../kinds/serving.ts';
import { serviceScale } from '../../serving/autoscaler/service-scale.ts';
import { parse } from '../args.ts';
import { COMMANDS } from '../commands.ts';
import { scaled, scaleEdits, scaleSettings } from './scale.ts';

const SCALE = COMMANDS.find(({ name }) => name === 'scale')!;
const edits = (...argv: string[]) => scaleEdits(parse(SCALE, ['web', ...argv]));
const service = (own: Record<string, string>, template: Record<string, string> = {}): Service => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name: 'web', annotations: own },
  spec: { template: { metadata: { annotations: template }, spec: { containers: [] } } },
});

test('what is set holds for the autoscaler, and what is taken back does not', () => {
  const argv =
    '--min 2 --max 9 --target 30.5 --utilization 70 --metric rps --window 1m30s --down-delay 5m --class hybrid';
  const set = scaled(service({ note: 'x' }), edits(...argv.split(' ')));
  assert.deepEqual(serviceScale(set?.metadata.annotations), {
    min: 2,
    max: 9,
    overrides: {
      'autoscaling.knative.dev/target': '30.5',
      'autoscaling.knative.dev/target-utilization-percentage': '70',
      'autoscaling.knative.dev/metric': 'rps',
      'autoscaling.knative.dev/window': '1m30s',
      'autoscaling.knative.dev/scale-down-delay': '5m',
      'autoscaling.knative.dev/class': 'hybrid.autoscaling.petrel.dev',
    },
  });
  const back = scaled(set!, edits('--min', 'none', '--max', 'none'));
  assert.equal(serviceScale(back?.metadata.annotations).min, undefined);
  assert.equal(back?.metadata.annotations?.note, 'x');
  assert.equal(scaled(set!, edits('--min', '2')), undefined);
});

test('more at least than at most is refused; 0 is no bound', () => {
  assert.throws(() => edits('--min', '5', '--max', '2'), /--min 5 is more than --max 2/);
  assert.doesNotThrow(() => edits('--min', '5', '--max', '0'));
  assert.doesNotThrow(() => edits('--min', '5', '--max', 'none'));
});

test('the settings say where they come from; the Service’s own win', () => {
  const own = { 'autoscaling.petrel.dev/min-scale': '1' };
  const template = { 'autoscaling.knative.dev/min-scale': '5', 'autoscaling.knative.dev/max-scale': '7' };
  assert.deepEqual(scaleSettings(service(own, template)), {
    min: { value: '1', from: 'service' },
    max: { value: '7', from: 'template' },
  });
});

for (const argv of [
  ['--min', 'x'],
  ['--max', '1.5'],
  ['--window', '60'],
  ['--class', 'nope'],
]) {
  test(`${argv.join(' ')} is refused with an example`, () => {
    assert.throws(
      () => edits(...argv),
      (error) =>
        error instanceof PetrelError && error.code === 'InvalidArgument' && error.fix.includes('for example'),
    );
  });
}
