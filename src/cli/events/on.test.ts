import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { objectsOf, parseFilter, parseOn } from './on.ts';

const CASES: [text: string, wish: unknown][] = [
  [
    'cron: 0 9 * * 1-5 Europe/Berlin',
    { kind: 'source', type: 'timer', config: { schedule: '0 9 * * 1-5', timeZone: 'Europe/Berlin' } },
  ],
  ['cron: 0 9 * * MON', { kind: 'source', type: 'timer', config: { schedule: '0 9 * * MON' } }],
  ['cron: @every 5m', { kind: 'source', type: 'timer', config: { schedule: '@every 5m' } }],
  [
    'cron: CRON_TZ=Asia/Tokyo 0 9 * * *',
    { kind: 'source', type: 'timer', config: { schedule: '0 9 * * *', timeZone: 'Asia/Tokyo' } },
  ],
  ['cron: @daily UTC', { kind: 'source', type: 'timer', config: { schedule: '@daily', timeZone: 'UTC' } }],
  ['kafka: topic=orders', { kind: 'source', type: 'kafka', config: { topics: 'orders' } }],
  [
    'kafka: topics=["a","b c"], bootstrapServers="h:9092,g:9092" sasl.password=secret/kafka:password size=10',
    {
      kind: 'source',
      type: 'kafka',
      config: {
        topics: ['a', 'b c'],
        bootstrapServers: 'h:9092,g:9092',
        sasl: { password: { secretKeyRef: { name: 'kafka', key: 'password' } } },
        size: 10,
      },
    },
  ],
  [
    'github: secret=secret/gh:key',
    {
      kind: 'source',
      type: 'webhook',
      config: { provider: 'github', secret: { secretKeyRef: { name: 'gh', key: 'key' } } },
    },
  ],
  ['webhook: unsigned=true', { kind: 'source', type: 'webhook', config: { unsigned: true } }],
  [
    'type=com.shop.order.*',
    { kind: 'trigger', broker: 'default', filters: [{ prefix: { type: 'com.shop.order.' } }] },
  ],
  [
    'type=paid, source=*/shop broker=orders subject=*',
    {
      kind: 'trigger',
      broker: 'orders',
      filters: [{ exact: { type: 'paid', subject: '' } }, { suffix: { source: '/shop' } }],
    },
  ],
  ['broker=all', { kind: 'trigger', broker: 'all', filters: [] }],
  [
    "cesql: type LIKE 'com.%' AND subject = 'a'",
    { kind: 'trigger', broker: 'default', filters: [{ cesql: "type LIKE 'com.%' AND subject = 'a'" }] },
  ],
];
for (const [text, wish] of CASES) test(text, () => assert.deepEqual(parseOn(text), wish));

const REFUSED = [
  '',
  'orders',
  'cron:',
  'cesql: ',
  'kafka: orders',
  'croon: 0 9 * * *',
  'Type=x',
  'my-attribute=x',
  'type=a.*.b',
  'type=*a*',
];
for (const text of REFUSED)
  test(`"${text}" is refused with an example`, () =>
    assert.throws(
      () => parseOn(text),
      (error: PetrelError) =>
        error instanceof PetrelError && error.code === 'InvalidArgument' && /cron: |--on/.test(error.fix),
    ));

test('objects are named after the function and owned by it', () => {
  const texts = ['cron: @daily', 'cron: @hourly', 'type=a', 'broker=other'];
  const objects = objectsOf(texts.map(parseOn), { name: 'shop', namespace: 'team', uid: 'u1' });
  assert.deepEqual(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
    [
      'EventSource team/shop-timer',
      'EventSource team/shop-timer-2',
      'Trigger team/shop-default',
      'Trigger team/shop-other',
    ],
  );
  for (const { metadata } of objects) assert.equal(metadata.ownerReferences?.[0]?.uid, 'u1');
});

test('a filter names its own option, and knows of no broker', () => {
  assert.deepEqual(parseFilter('type=a.*, broker=x'), [
    { exact: { broker: 'x' } },
    { prefix: { type: 'a.' } },
  ]);
  assert.throws(() => parseFilter('typ e=zz'), /--filter "typ e=zz"/);
});

test('a star in the middle is told with the expression that says it', () =>
  assert.throws(() => parseOn('type=com.*.order'), { why: /type LIKE 'com\.%\.order'/ }));
