/** Brokers whose events are kept elsewhere: the same promises, on a real server, through its restarts and the platform's. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BROKERS } from '../../src/kube/refs.ts';
import { farBroker, STORES } from '../lib/brokers/stores.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const KEEP = `import { state } from 'petrel';
export default { async fetch(request) { await state.set(request.headers.get('ce-id'), await request.text()); return new Response(null, { status: 204 }); } };
`;

for (const store of STORES) {
  const { name: brokerClass } = store;
  const server = await store.start();
  if (typeof server === 'string') {
    test(brokerClass, { skip: server }, () => {});
    continue;
  }
  describe(brokerClass, () => {
    const scratch = new Scratch();
    const petrel = new Petrel(scratch.path('h'));
    let platform: Status;
    before(async () => {
      platform = await petrel.up();
    });
    after(async () => {
      await petrel.stop();
      await server.stop();
      scratch.dispose();
    });
    const ready = async (wanted: string) => {
      const api = await petrel.api();
      try {
        return await eventually(`the broker's readiness is ${wanted}`, async () => {
          const broker = await api.get<
            {
              metadata: { name: string };
              status?: { conditions?: { type: string; status: string; message?: string }[] };
            } & { apiVersion: string; kind: string }
          >(BROKERS, 'default', 'far');
          const found = broker.status?.conditions?.find(({ type }) => type === 'Ready');
          return found?.status === wanted ? found : undefined;
        });
      } finally {
        api.close();
      }
    };
    const send = (id: string) =>
      call(platform.gateway, '/events/broker/default/far', {
        body: `{"n":"${id}"}`,
        headers: {
          'content-type': 'application/json',
          'ce-specversion': '1.0',
          'ce-id': id,
          'ce-source': '/test',
          'ce-type': 'far.away',
        },
      });
    const kept = (id: string) =>
      eventually(`${id} is delivered`, async () => {
        const { stdout } = await petrel.run(['state', 'get', 'keep', id]);
        return stdout.trim() === `{"n":"${id}"}`;
      });

    test('events are kept there, delivered, and survive both', async () => {
      scratch.write({
        'keep.ts': KEEP,
        'broker.yaml': farBroker(store, server),
      });
      const applied = await petrel.run(['deploy', scratch.path('broker.yaml')]);
      assert.equal(applied.code, 0, applied.stderr + applied.stdout);
      await ready('True');
      await petrel.deploy(scratch.path('keep.ts'), '--state', 'own', '--on', 'broker=far');
      assert.equal((await send('one')).status, 202);
      await kept('one');

      await server.kill();
      const refused = await send('two');
      assert.equal(refused.status, 503, refused.body);
      await ready('False');
      await server.start();
      await ready('True');
      await eventually('events are taken again', async () => (await send('three')).status === 202);
      await kept('three');

      process.kill(platform.pid, 'SIGKILL');
      platform = await eventually('the platform is back', () => petrel.up());
      await eventually('events are taken after a restart', async () => (await send('four')).status === 202);
      await kept('four');
    });

    test('a configuration that is missing is told of', async () => {
      const api = await petrel.api();
      try {
        await api.create(BROKERS, {
          apiVersion: 'eventing.knative.dev/v1',
          kind: 'Broker',
          metadata: {
            name: 'lost',
            namespace: 'default',
            annotations: { 'eventing.knative.dev/broker.class': brokerClass },
          },
          ...{
            spec: { config: { apiVersion: 'v1', kind: 'ConfigMap', name: 'nothere', namespace: 'default' } },
          },
        });
        const message = await eventually('it says what is missing', async () => {
          const { status } = await api.get<{
            metadata: { name: string };
            apiVersion: string;
            kind: string;
            status?: { conditions?: { type: string; status: string; message?: string }[] };
          }>(BROKERS, 'default', 'lost');
          return status?.conditions?.find(({ type, status: how }) => type === 'Ready' && how === 'False')
            ?.message;
        });
        assert.match(message, /nothere/);
      } finally {
        api.close();
      }
    });
  });
}
