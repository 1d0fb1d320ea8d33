import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseName, serviceOf, statusOf } from './translate.ts';

test('a deployment becomes a Service, and is told again as it came', () => {
  const deployment = {
    service: 'figlet',
    image: 'dev.local/figlet',
    envProcess: 'figlet -f big',
    envVars: { A: '1' },
    secrets: ['key'],
    labels: { 'com.openfaas.scale.min': '2', 'com.openfaas.scale.max': '5', team: 'red' },
    annotations: { topic: 'x' },
    limits: { memory: '64Mi' },
    readOnlyRootFilesystem: true,
  };
  const service = serviceOf(deployment, 'shop');
  const [container] = service.spec.template.spec.containers;
  assert.deepEqual(container?.env, [
    { name: 'A', value: '1' },
    { name: 'fprocess', value: 'figlet -f big' },
  ]);
  assert.deepEqual(container?.volumeMounts?.[0]?.mountPath, '/var/openfaas/secrets/key');
  assert.deepEqual(container?.resources, { limits: { memory: '64Mi' } });
  assert.deepEqual(service.spec.template.metadata?.annotations, {
    topic: 'x',
    'autoscaling.knative.dev/min-scale': '2',
    'autoscaling.knative.dev/max-scale': '5',
  });
  const { replicas, availableReplicas, createdAt: _, ...told } = statusOf(service, 3);
  assert.deepEqual([replicas, availableReplicas], [3, 3]);
  const { service: name, ...rest } = deployment;
  assert.deepEqual(told, { ...rest, name, namespace: 'shop' });
});

test('without a word about zero one instance is kept; with it, none', () => {
  const min = (labels?: Record<string, string>) =>
    serviceOf({ service: 'a', image: 'b', ...(labels ? { labels } : {}) }, 'default').spec.template.metadata
      ?.annotations?.['autoscaling.knative.dev/min-scale'];
  assert.equal(min(), '1');
  assert.equal(min({ 'com.openfaas.scale.zero': 'true' }), undefined);
});

test('names in paths', () => {
  assert.deepEqual(parseName('figlet'), { name: 'figlet', namespace: 'default' });
  assert.deepEqual(parseName('figlet.shop'), { name: 'figlet', namespace: 'shop' });
  for (const text of ['', 'a.b.c', '../x', 'A_b']) assert.equal(parseName(text), undefined, text);
});
