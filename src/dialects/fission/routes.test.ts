import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from './canaries.ts';
import { addressOf } from './invoke.ts';
import type { CanaryConfig, FunctionAlias, HttpTrigger } from './model.ts';
import { aliasTargets, type Directory, percentages, triggerRoute } from './routes.ts';

const object = (kind: string, name: string) => ({
  apiVersion: 'fission.io/v1',
  kind,
  metadata: {
    name,
    namespace: 'default',
    uid: `u-${name}`,
    generation: 3,
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
});
const alias = (spec: Partial<FunctionAlias['spec']>): FunctionAlias => ({
  ...object('FunctionAlias', 'prod'),
  spec: { functionName: 'a', ...spec },
});
const directory: Directory = {
  functionOf: (_, name) => (['a', 'b'].includes(name) ? object('Function', name) : undefined),
  versionOf: (_, name) => (['a-v1', 'a-v2'].includes(name) ? object('FunctionVersion', name) : undefined),
  aliasOf: (_, name) =>
    name === 'prod' ? alias({ version: 'a-v1', secondaryVersion: 'a-v2', weight: 90 }) : undefined,
  versionByDigest: (_, fn, digest) => (fn === 'a' && digest === 'sha256:2' ? 'a-v2' : undefined),
};
const trigger = (spec: Partial<HttpTrigger['spec']>): HttpTrigger => ({
  ...object('HTTPTrigger', 't'),
  spec: { functionref: { type: 'name', name: 'a' }, ...spec },
});
const route = (spec: Partial<HttpTrigger['spec']>) => triggerRoute(trigger(spec), directory);

test('weights become whole percentages that add up', () => {
  assert.deepEqual(
    percentages([
      ['a', 1],
      ['b', 2],
    ]),
    [
      ['a', 33],
      ['b', 67],
    ],
  );
  assert.deepEqual(
    percentages([
      ['a', 100],
      ['b', 0],
    ]),
    [['a', 100]],
  );
  assert.deepEqual(
    percentages([
      ['a', 7],
      ['b', 7],
      ['c', 7],
    ]).reduce((sum, [, share]) => sum + share, 0),
    100,
  );
});

const headersOf = (name: string) => ({
  'x-fission-function-uid': `u-${name}`,
  'x-fission-function-name': name,
  'x-fission-function-namespace': 'default',
  'x-fission-function-resourceversion': '3',
});

test('a relative URL is the whole path, and the function sees /', () => {
  assert.deepEqual(
    route({ relativeurl: '/a', method: 'GET', methods: ['POST', 'GET'], host: 'Example.Test' }),
    {
      hosts: ['example.test'],
      path: { type: 'exact', value: '/a' },
      methods: ['POST', 'GET'],
      rewrite: { to: '/' },
      to: [{ route: 'default/a', percent: 100 }],
      headers: { ...headersOf('a'), 'x-fission-full-url': '{petrel.target}' },
      count: '/a',
      order: 1_767_225_600,
    },
  );
});

test('templates, prefixes, weights, aliases, versions, CORS, later', () => {
  const template = route({ relativeurl: '/x/{id:[0-9]{2}}/{what}' });
  assert.ok('path' in template);
  assert.equal(template.path.type, 'template');
  assert.equal(template.headers?.['x-fission-params-id'], '{id}');
  assert.equal(template.headers?.['x-fission-params-what'], '{what}');
  const prefix = route({ prefix: '/p', relativeurl: '/ignored', keepPrefix: true, invocationMode: 'async' });
  assert.ok('path' in prefix);
  assert.deepEqual(
    [prefix.path, prefix.rewrite, prefix.async],
    [{ type: 'prefix', value: '/p' }, 'keep', true],
  );
  const targets = (functionref: HttpTrigger['spec']['functionref']) => {
    const found = route({ relativeurl: '/a', functionref });
    return 'to' in found ? found.to : found.reason;
  };
  assert.deepEqual(targets({ type: 'function-weights', functionweights: { a: 3, b: 1 } }), [
    { route: 'default/a', percent: 75, headers: headersOf('a') },
    { route: 'default/b', percent: 25, headers: headersOf('b') },
  ]);
  assert.deepEqual(targets({ type: 'name', name: 'a', alias: 'prod' }), [
    { route: 'default/a-v1', percent: 90 },
    { route: 'default/a-v2', percent: 10 },
  ]);
  assert.deepEqual(targets({ type: 'name', name: 'a', version: 'a-v2' }), [
    { route: 'default/a-v2', percent: 100 },
  ]);
  assert.equal(targets({ type: 'name', name: 'c' }), 'FunctionNotFound');
  assert.equal(targets({ type: 'name', name: 'a', alias: 'test' }), 'AliasNotFound');
  assert.equal(targets({ type: 'function-weights', functionweights: { a: 1, c: 1 } }), 'FunctionNotFound');
  const cors = route({
    relativeurl: '/a',
    methods: ['PUT'],
    corsConfig: { allowOrigins: ['https://x'], maxAge: '10m' },
  });
  assert.deepEqual('access' in cors && cors.access, {
    cors: {
      origins: ['https://x'],
      methods: ['PUT'],
      headers: [],
      expose: [],
      credentials: false,
      maxAgeSeconds: 600,
    },
  });
});

test('an alias by digest, and one of nothing', () => {
  assert.deepEqual(aliasTargets(alias({ packageDigest: 'sha256:2' }), directory), [
    { route: 'default/a-v2', percent: 100 },
  ]);
  assert.ok('reason' in aliasTargets(alias({ version: 'a-v9' }), directory));
  assert.deepEqual(aliasTargets(alias({ version: 'a-v1', secondaryVersion: 'a-v2', weight: 0 }), directory), [
    { route: 'default/a-v2', percent: 100 },
  ]);
});

test('the address of what a trigger calls', () => {
  assert.equal(addressOf({ type: 'name', name: 'a' }, 0), 'a');
  assert.equal(addressOf({ name: 'a', alias: 'prod' }, 0), 'a:prod');
  const weighted = { type: 'function-weights', functionweights: { a: 25, b: 75 } };
  assert.deepEqual(
    [0, 0.24, 0.25, 0.99].map((random) => addressOf(weighted, random)),
    ['a', 'a', 'b', 'b'],
  );
});

test('a canary begins, goes on, waits for requests, fails', () => {
  const config = (spec: Partial<CanaryConfig['spec']> = {}): CanaryConfig => ({
    ...object('CanaryConfig', 'c'),
    spec: { trigger: 't', newfunction: 'b', oldfunction: 'a', ...spec },
  });
  assert.deepEqual(decide(config(), 0, { requests: 0, errors: 0 }), { act: 'step', weight: 20 });
  assert.deepEqual(decide(config(), 20, { requests: 0, errors: 0 }), { act: 'none' });
  assert.deepEqual(decide(config(), 90, { requests: 10, errors: 1 }), { act: 'step', weight: 100 });
  assert.deepEqual(decide(config(), 20, { requests: 8, errors: 1 }), { act: 'fail', percent: 12.5 });
  assert.deepEqual(
    decide(config({ weightincrement: 5, failurethreshold: 50 }), 5, { requests: 8, errors: 1 }),
    {
      act: 'step',
      weight: 10,
    },
  );
});
