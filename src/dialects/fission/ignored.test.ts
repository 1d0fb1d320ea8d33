/** What is told of fields that have no effect. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { found } from './conditions.ts';
import { ignoredFields, withIgnored } from './ignored.ts';

const object = (kind: string, spec: object, types: string[] = []) => ({
  apiVersion: 'fission.io/v1',
  kind,
  metadata: { name: 'x' },
  spec,
  status: { conditions: types.map((type) => ({ type })) },
});
const strategy = (more: object, ExecutorType = 'newdeploy') => ({
  InvokeStrategy: { ExecutionStrategy: { ExecutorType, ...more } },
});
const cpu = { type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 50 } } };
const container = { name: 'builder', resources: {} };

const CASES: [what: string, kind: string, spec: object, fields: string[]][] = [
  ['what the command sends by itself', 'Function', { ...strategy({ hpaMetrics: [cpu] }), podspec: null }, []],
  ['an empty podspec', 'Function', { ...strategy({}), podspec: { containers: null } }, []],
  ['a podspec of a container', 'Function', { ...strategy({}, 'container'), podspec: { nodeName: 'a' } }, []],
  ['another podspec', 'Function', { ...strategy({}), podspec: { nodeName: 'a' } }, ['podspec']],
  [
    'metrics of other things',
    'Function',
    strategy({
      hpaMetrics: [cpu, { type: 'Pods' }],
      hpaBehavior: { scaleDown: { policies: [{ value: 1 }] } },
    }),
    ['InvokeStrategy.ExecutionStrategy.hpaMetrics', 'InvokeStrategy.ExecutionStrategy.hpaBehavior'],
  ],
  [
    'topics as destinations',
    'Function',
    { invocation: { onSuccess: { topic: { topic: 't' } }, onFailure: { function: { name: 'f' } } } },
    ['invocation.onSuccess.topic'],
  ],
  [
    'an environment as the command writes it',
    'Environment',
    { runtime: { podspec: { containers: [container] } } },
    [],
  ],
  [
    'an environment with a node of its own',
    'Environment',
    {
      runtime: { podspec: { containers: [container], nodeSelector: { a: 'b' } } },
      allowedFunctionsPerContainer: 'infinite',
    },
    ['runtime.podspec', 'allowedFunctionsPerContainer'],
  ],
  ['a route', 'HTTPTrigger', { createingress: false, ingressconfig: { path: '/x' } }, []],
  ['an Ingress', 'HTTPTrigger', { createingress: true }, ['createingress']],
];
for (const [what, kind, spec, fields] of CASES)
  test(`${what}: ${fields.join(', ') || 'nothing is ignored'}`, () =>
    assert.deepEqual(ignoredFields(object(kind, spec)), fields));

test('the condition comes with the first such field, and says when there is none any more', () => {
  const ready = found('Ready', undefined);
  assert.deepEqual(withIgnored(object('HTTPTrigger', {}), [ready]), [ready]);
  const [, told] = withIgnored(object('HTTPTrigger', { createingress: true }), [ready]);
  assert.deepEqual([told?.type, told?.status], ['FieldsIgnored', 'True']);
  assert.match(told?.message ?? '', /createingress/);
  const [, gone] = withIgnored(object('HTTPTrigger', {}, ['FieldsIgnored']), [ready]);
  assert.equal(gone?.status, 'False');
});
