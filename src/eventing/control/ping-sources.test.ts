import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PING_SOURCES } from '../../kube/refs.ts';
import { createWorld } from './testing.ts';

test('a PingSource is a timer with the events of Knative', async (t) => {
  const { create, condition, engine, controllers, remove, eventually, close } = await createWorld();
  t.after(close);
  const sink = { uri: 'http://sink.example.com/in' };
  await create(PING_SOURCES, 'p', {
    schedule: '*/2 * * * * *',
    timezone: 'Europe/Berlin',
    contentType: 'text/plain',
    data: 'hello',
    sink,
    ceOverrides: { extensions: { a: 'b' } },
  });
  const key = 'pingsource/default/p';
  await condition(PING_SOURCES, 'p', 'Unknown Starting', 'Deployed');
  controllers.reports.source(key, { ready: true, reason: 'Scheduled', message: '' });
  const { status } = await condition(PING_SOURCES, 'p', 'True');
  const source = '/apis/v1/namespaces/default/pingsources/p';
  assert.equal(status.sinkUri, sink.uri);
  assert.deepEqual(status.ceAttributes, [{ type: 'dev.knative.sources.ping', source }]);
  const { type, config, extensions } = engine.sources.get(key) ?? {};
  assert.deepEqual(
    { type, config, extensions },
    {
      type: 'timer',
      config: {
        schedule: '*/2 * * * * *',
        timeZone: 'Europe/Berlin',
        type: 'dev.knative.sources.ping',
        source,
        contentType: 'text/plain',
        data: 'hello',
      },
      extensions: { a: 'b' },
    },
  );
  await create(PING_SOURCES, 'bare', { sink });
  await eventually('the other', () => engine.sources.get('pingsource/default/bare'));
  assert.equal(engine.sources.get('pingsource/default/bare')?.config.contentType, '', 'nothing is assumed');
  await remove(PING_SOURCES, 'p');
  await eventually('forgotten', () => (engine.sources.has(key) ? undefined : true));
});
