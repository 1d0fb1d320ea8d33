import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../object.ts';
import { builtinRegistry } from '../registry.ts';
import { schemaErrors, unknownFields } from '../strict.ts';
import type { TrafficPolicySpec } from '../traffic-policy.ts';

const { strategy, type } = builtinRegistry().find('petrel.dev', 'v1', 'trafficpolicies')!;
const policy = (spec: object): UntypedObject => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'TrafficPolicy',
  metadata: { name: 'p', namespace: 'default' },
  spec: { targetRef: { kind: 'Service', name: 'hello' }, ...spec },
});
const problems = (object: UntypedObject): string[] =>
  (strategy.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`);

test('everything at once is accepted, and the type table knows all of it', () => {
  const spec: Omit<TrafficPolicySpec, 'targetRef'> = {
    rules: [
      {
        match: {
          headers: [
            { name: 'X-User', type: 'RegularExpression', value: '(a+)+@example\\.com' },
            { name: 'x-beta', type: 'Present' },
          ],
          cookies: [{ name: 'beta', value: 'yes' }],
          pathPrefix: '/v2/',
        },
        to: { tag: 'next' },
      },
    ],
    sessionAffinity: { cookie: 'session', ttlSeconds: 3600 },
    mirror: { to: { revisionName: 'hello-00002' }, percent: 0.5 },
    loadBalancing: { policy: 'RingHash', hashOn: { header: 'x-user' }, zoneAware: true },
    outlierDetection: { consecutiveErrors: 5, baseEjectionSeconds: 30, maxEjectionPercent: 50 },
    retries: { attempts: 2, on: ['connect-failure', '5xx'], budgetPercent: 20, perTryTimeoutSeconds: 0.5 },
    timeouts: { requestSeconds: 10, responseStartSeconds: 5, idleSeconds: 10 },
    rateLimit: { requests: 10, seconds: 0.5, burst: 20, key: { cookie: 'user' } },
    circuitBreaker: { errorPercent: 50, minRequests: 20, openSeconds: 5, maxInFlight: 100 },
    canary: {
      steps: [1, 50, 99],
      intervalSeconds: 0.1,
      minRequests: 0,
      maxErrorPercent: 0,
      maxLatencyMs: 100,
      latencyPercentile: 99.9,
    },
  };
  const object = policy(spec);
  object.status = {
    observedGeneration: 1,
    canary: {
      phase: 'Progressing',
      revisionName: 'a',
      stableRevisionName: 'b',
      percent: 5,
      message: '',
      stepStartedAt: '2026-01-01T00:00:00.123Z',
    },
  };
  assert.deepEqual(unknownFields(object, type), []);
  assert.deepEqual(schemaErrors(object, type), []);
  assert.deepEqual(problems(object), []);
  assert.deepEqual(problems(policy({})), []);
});

const rule = (match: object, to: object = { tag: 't' }) => ({ rules: [{ match, to }] });
const header = (match: object) => rule({ headers: [{ name: 'h', ...match }] });
const H = 'spec.rules[0].match.headers[0]';
const wrong: [string, object, string[]][] = [
  [
    'no target',
    { targetRef: undefined },
    ['spec.targetRef.kind: Required value', 'spec.targetRef.name: Required value'],
  ],
  [
    'another target',
    { targetRef: { kind: 'Pod', name: 'p' } },
    ['spec.targetRef.kind: Unsupported value: "Pod": supported values: "Service", "Function", "Route"'],
  ],
  [
    'a rule about nothing',
    rule({}),
    ['spec.rules[0].match: Required value: must have one of `headers`, `cookies` and `pathPrefix`'],
  ],
  [
    'a rule to nowhere',
    rule({ pathPrefix: '/' }, {}),
    ['spec.rules[0].to: Required value: must have one of `tag` and `revisionName`'],
  ],
  [
    'a rule to two',
    rule({ pathPrefix: '/' }, { tag: 'a', revisionName: 'b' }),
    ['spec.rules[0].to: Forbidden: may not have both `tag` and `revisionName`'],
  ],
  [
    'path',
    rule({ pathPrefix: 'v2?' }),
    [
      'spec.rules[0].match.pathPrefix: Invalid value: "v2?": must begin with a slash and be a path, without query',
    ],
  ],
  [
    'header name',
    rule({ headers: [{ name: 'a b', value: '' }, { value: 'x' }] }),
    [
      'spec.rules[0].match.headers[0].name: Invalid value: "a b": must be letters, digits and !#$%&\'*+.^_`|~-',
      'spec.rules[0].match.headers[1].name: Required value',
    ],
  ],
  [
    'type',
    header({ type: 'Suffix', value: 'x' }),
    [
      `${H}.type: Unsupported value: "Suffix": supported values: "Exact", "Prefix", "RegularExpression", "Present"`,
    ],
  ],
  ['no value', header({}), [`${H}.value: Required value`]],
  [
    'a value too many',
    header({ type: 'Present', value: 'x' }),
    [`${H}.value: Forbidden: type Present has none`],
  ],
  [
    'no pattern',
    header({ type: 'RegularExpression', value: '[' }),
    [`${H}.value: Invalid value: "[": must be a regular expression: Unterminated character class`],
  ],
  ...['(?=a)b', '(a)\\1', 'a{1000}'].map((value): [string, object, string[]] => [
    `pattern ${value}`,
    header({ type: 'RegularExpression', value }),
    [
      `${H}.value: Invalid value: ${JSON.stringify(value)}: must be a pattern that matches in linear time: without look-around, back-references, inline flags and large repetitions`,
    ],
  ]),
  [
    'long pattern',
    header({ type: 'RegularExpression', value: 'a'.repeat(257) }),
    [`${H}.value: Invalid value: "${'a'.repeat(32)}…": a pattern must have no more than 256 characters`],
  ],
  [
    'many rules',
    { rules: Array(65).fill({ match: { pathPrefix: '/' }, to: { tag: 't' } }) },
    ['spec.rules: Invalid value: 65: must have no more than 64 items'],
  ],
  [
    'many matches',
    rule({ cookies: Array(17).fill({ name: 'a', type: 'Present' }) }),
    ['spec.rules[0].match.cookies: Invalid value: 17: must have no more than 16 items'],
  ],
  [
    'affinity',
    { sessionAffinity: { cookie: 'a=b', ttlSeconds: 0 } },
    [
      'spec.sessionAffinity.cookie: Invalid value: "a=b": must be letters, digits and !#$%&\'*+.^_`|~-',
      'spec.sessionAffinity.ttlSeconds: Invalid value: 0: must be a number, above 0 and at most 31536000',
    ],
  ],
  [
    'mirror',
    { mirror: { to: { tag: 'A' }, percent: 101 } },
    [
      "spec.mirror.to.tag: Invalid value: \"A\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
      'spec.mirror.percent: Invalid value: 101: must be a number, 0 or more and at most 100',
    ],
  ],
  [
    'balancing',
    { loadBalancing: { policy: 'Random', hashOn: { header: 'a', cookie: 'b' } } },
    [
      'spec.loadBalancing.policy: Unsupported value: "Random": supported values: "LeastLoaded", "RingHash"',
      'spec.loadBalancing.hashOn: Forbidden: only policy RingHash hashes',
      'spec.loadBalancing.hashOn: Forbidden: may not have both `header` and `cookie`',
    ],
  ],
  [
    'outliers',
    { outlierDetection: { consecutiveErrors: 1.5, maxEjectionPercent: 101 } },
    [
      'spec.outlierDetection.consecutiveErrors: Invalid value: 1.5: must be a whole number, 1 or more and at most 1000',
      'spec.outlierDetection.maxEjectionPercent: Invalid value: 101: must be a whole number, 0 or more and at most 100',
    ],
  ],
  [
    'retries',
    { retries: { attempts: 11, on: ['404'] } },
    [
      'spec.retries.on[0]: Unsupported value: "404": supported values: "connect-failure", "reset", "502", "503", "504", "5xx"',
      'spec.retries.attempts: Invalid value: 11: must be a whole number, 0 or more and at most 10',
    ],
  ],
  [
    'time-outs',
    { timeouts: { requestSeconds: 1, idleSeconds: 2 } },
    ['spec.timeouts.idleSeconds: Invalid value: 2: must be at most requestSeconds (1)'],
  ],
  ['no rate', { rateLimit: {} }, ['spec.rateLimit.requests: Required value']],
  [
    'rate',
    { rateLimit: { requests: 0, seconds: -1, key: { header: '' } } },
    [
      'spec.rateLimit.key.header: Required value',
      'spec.rateLimit.requests: Invalid value: 0: must be a whole number, 1 or more and at most 1000000000',
      'spec.rateLimit.seconds: Invalid value: -1: must be a number, above 0 and at most 86400',
    ],
  ],
  [
    'a breaker of nothing',
    { circuitBreaker: { openSeconds: 1 } },
    ['spec.circuitBreaker: Required value: must have one of `errorPercent` and `maxInFlight`'],
  ],
  ['no steps', { canary: { steps: [] } }, ['spec.canary.steps: Invalid value: []: must have 1 to 20 items']],
  [
    'steps',
    { canary: { steps: [0, 5, 5, 100] } },
    [
      'spec.canary.steps[0]: Invalid value: 0: must be a whole number, 1 or more and at most 99',
      'spec.canary.steps[2]: Invalid value: 5: must be more than the step before (5)',
      'spec.canary.steps[3]: Invalid value: 100: must be a whole number, 1 or more and at most 99',
    ],
  ],
  [
    'percentile',
    { canary: { latencyPercentile: 101 } },
    ['spec.canary.latencyPercentile: Invalid value: 101: must be a number, above 0 and at most 100'],
  ],
];
for (const [what, spec, expected] of wrong) {
  test(`TrafficPolicy refused: ${what}`, () => assert.deepEqual(problems(policy(spec)), expected));
}
