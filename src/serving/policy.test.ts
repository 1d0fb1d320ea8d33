import assert from 'node:assert/strict';
import test from 'node:test';
import type { TrafficPolicySpec } from '../kinds/traffic-policy.ts';
import { translatePolicy } from './policy.ts';

const translate = (spec: Omit<TrafficPolicySpec, 'targetRef'>) =>
  translatePolicy(
    { targetRef: { kind: 'Service', name: 'shop' }, ...spec },
    {
      namespace: 'default',
      route: 'shop',
      tags: new Map([['blue', 'shop-00002']]),
      revisionExists: (name) => ['shop-00001', 'shop-00002'].includes(name),
    },
  );

test('every part with its defaults, and nothing for what is not asked for', () => {
  const table: [Omit<TrafficPolicySpec, 'targetRef'>, object, object][] = [
    [{}, {}, {}],
    [{ sessionAffinity: {} }, { affinity: { cookie: 'petrel-session' } }, {}],
    [
      { sessionAffinity: { cookie: 'sid', ttlSeconds: 60 } },
      { affinity: { cookie: 'sid', ttlMs: 60_000 } },
      {},
    ],
    [{ mirror: { to: { tag: 'blue' } } }, { mirror: { revision: 'default/shop-00002', percent: 100 } }, {}],
    [
      { retries: {} },
      { retries: { attempts: 2, on: ['connect-failure', 'reset', '503'], budgetPercent: 20 } },
      {},
    ],
    [{ retries: { attempts: 0 } }, {}, {}],
    [
      { retries: { attempts: 1, on: ['5xx'], budgetPercent: 0, perTryTimeoutSeconds: 0.5 } },
      { retries: { attempts: 1, on: ['5xx'], budgetPercent: 0, perTryTimeoutMs: 500 } },
      {},
    ],
    [{ timeouts: { requestSeconds: 2 } }, { timeouts: { timeoutMs: 2000 } }, {}],
    [{ rateLimit: { requests: 5 } }, { rateLimit: { requests: 5, periodMs: 1000, burst: 5, key: {} } }, {}],
    [
      { rateLimit: { requests: 5, seconds: 60, burst: 1, key: { header: 'X-User' } } },
      { rateLimit: { requests: 5, periodMs: 60_000, burst: 1, key: { header: 'x-user' } } },
      {},
    ],
    [
      { circuitBreaker: { errorPercent: 50 } },
      { breaker: { errorPercent: 50, minRequests: 20, openMs: 5000 } },
      {},
    ],
    [
      { loadBalancing: { policy: 'RingHash', hashOn: { cookie: 'sid' } } },
      {},
      { balancing: { policy: 'RingHash', hashOn: { cookie: 'sid' } } },
    ],
    [
      { outlierDetection: { consecutiveErrors: 2 } },
      {},
      { outliers: { consecutiveErrors: 2, baseEjectionMs: 30_000, maxEjectionPercent: 50 } },
    ],
    [{ canary: {} }, {}, { outcomes: true }],
  ];
  for (const [spec, policy, terms] of table) {
    const result = translate(spec);
    assert.deepEqual(
      [result.policy, result.terms, result.problems],
      [policy, terms, []],
      JSON.stringify(spec),
    );
  }
});

test('rules lead to revisions, by name or by tag; one that leads nowhere is left out and told', () => {
  const { policy, revisions, problems } = translate({
    rules: [
      {
        match: {
          headers: [{ name: 'X-Beta', value: '1' }],
          cookies: [{ name: 'Beta', type: 'Present', value: 'ignored' }],
          pathPrefix: '/new',
        },
        to: { tag: 'blue' },
      },
      { match: { pathPrefix: '/' }, to: { tag: 'green' } },
      { match: { pathPrefix: '/' }, to: { revisionName: 'shop-00009' } },
    ],
  });
  assert.deepEqual(policy.rules, [
    {
      headers: [{ name: 'x-beta', type: 'Exact', value: '1' }],
      cookies: [{ name: 'Beta', type: 'Present' }],
      pathPrefix: '/new',
      revision: 'default/shop-00002',
    },
  ]);
  assert.deepEqual(revisions, ['default/shop-00002']);
  assert.deepEqual(problems, [
    'Tag "green" is not among the tags of Route "shop".',
    'Revision "shop-00009" not found.',
  ]);
});
