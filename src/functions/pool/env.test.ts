import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap, EnvVar, Secret } from '../../kinds/pod.ts';
import { envReferences, resolveEnv } from './env.ts';

const pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { app: 'x' } },
  spec: { nodeName: 'n' },
};
const sources = {
  configMap: (name: string) =>
    name === 'c' ? ({ data: { K: 'cm', A: 'from' } } as unknown as ConfigMap) : undefined,
  secret: (name: string) =>
    name === 's' ? ({ data: { K: Buffer.from('sec').toString('base64') } } as unknown as Secret) : undefined,
};
const one = (variable: Omit<EnvVar, 'name'>) => {
  const { env, missing } = resolveEnv({ env: [{ name: 'X', ...variable }] }, pod, sources);
  return env.X ?? missing[0];
};

const CASES: [Omit<EnvVar, 'name'>, string | undefined][] = [
  [{ value: 'plain' }, 'plain'],
  [{}, ''],
  [{ value: '$$(A) $(UNKNOWN)' }, '$(A) $(UNKNOWN)'],
  [{ valueFrom: { secretKeyRef: { name: 's', key: 'K' } } }, 'sec'],
  [{ valueFrom: { secretKeyRef: { name: 's', key: 'no' } } }, 'key "no" of Secret "s" (for X)'],
  [{ valueFrom: { secretKeyRef: { name: 's', key: 'no', optional: true } } }, undefined],
  [{ valueFrom: { configMapKeyRef: { name: 'c', key: 'K' } } }, 'cm'],
  [{ valueFrom: { configMapKeyRef: { name: 'no', key: 'K' } } }, 'key "K" of ConfigMap "no" (for X)'],
  [{ valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }, 'ns'],
  [{ valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } }, 'x'],
  [{ valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }, 'n'],
  [{ valueFrom: { fieldRef: { fieldPath: 'spec.nothing' } } }, 'field spec.nothing (for X)'],
];
test('each kind of variable', () => {
  for (const [variable, expected] of CASES) assert.equal(one(variable), expected, JSON.stringify(variable));
});

test('env overrides envFrom and sees what came before', () => {
  const container = {
    envFrom: [
      { configMapRef: { name: 'c' } },
      { prefix: 'S_', secretRef: { name: 's' } },
      { secretRef: { name: 'gone', optional: true } },
    ],
    env: [
      { name: 'A', value: 'own' },
      { name: 'B', value: '$(A)-$(S_K)' },
    ],
  };
  assert.deepEqual(resolveEnv(container, pod, sources), {
    env: { K: 'cm', A: 'own', S_K: 'sec', B: 'own-sec' },
    missing: [],
  });
  const { secrets, configMaps } = envReferences(container);
  assert.deepEqual([[...secrets], [...configMaps]], [['s', 'gone'], ['c']]);
});
