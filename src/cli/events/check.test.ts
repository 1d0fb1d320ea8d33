import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkExpressions, checkSource, checkWishes, SOURCE_TYPES } from './check.ts';
import { parseOn } from './on.ts';

const REFUSED: [type: string, config: Record<string, unknown>, says: RegExp][] = [
  ['timer', { schedule: '99 * * * *' }, /schedule: .*"99" is no minute/],
  ['timer', { schedule: '0 9 * * *', timeZone: 'Europe/Berln' }, /no time zone "Europe\/Berln"/],
  ['kafka', { topics: 'a', bootstrapServers: 'h:1', foo: 1 }, /foo: .*no such field/],
  ['kubernetes', {}, /resources/],
  ['webhook', {}, /secret/],
];
for (const [type, config, says] of REFUSED)
  test(`refused: ${type} ${JSON.stringify(config)}`, async () => {
    await assert.rejects(checkSource(type, config as Parameters<typeof checkSource>[1]), (error) => {
      assert.match((error as { why?: string }).why ?? '', says);
      return (error as { code?: string }).code === 'InvalidArgument';
    });
  });

test('an unknown kind is told with those there are', async () => {
  for (const type of ['webhok', 'constructor', 'brought'])
    await assert.rejects(checkSource(type, {}), { code: 'InvalidArgument', fix: /timer, webhook/ });
});

test('what a Secret holds is not looked at', async () => {
  const secretKeyRef = { name: 'a', key: 'b' };
  await checkSource('webhook', { provider: 'github', secret: { secretKeyRef } });
  await checkSource('kafka', { topics: 'a', bootstrapServers: { secretKeyRef } });
  await checkSource('kafka', {
    topics: 'a',
    bootstrapServers: 'h:1',
    tls: { caCerts: { secretKeyRef }, cert: { secretKeyRef }, key: { secretKeyRef } },
    sasl: { username: 'u', password: { secretKeyRef } },
  });
});

test('mistakes of every wish are told, those of expressions, too', async () => {
  await checkWishes([parseOn('cron: @hourly'), parseOn("cesql: type = 'a'"), parseOn('type=a')]);
  await assert.rejects(checkWishes([parseOn('type=a'), parseOn('cron: 99 * * * *')]), {
    code: 'InvalidArgument',
  });
  await assert.rejects(checkExpressions([{ cesql: 'INT(amount > 100' }]), /line 1, column 17/);
});

test('the pages that the messages name are there', () => {
  for (const type of SOURCE_TYPES)
    assert.ok(existsSync(join(import.meta.dirname, `../../../docs/sources/${type}.md`)), type);
});
