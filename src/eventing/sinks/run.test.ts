import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { type CloudEvent, makeEvent } from '../../cloudevents/event.ts';
import type { SourceState } from '../sources/reports.ts';
import type { SinkModule } from './contract.ts';
import { Sinks } from './run.ts';

const KEY = 'sink/default/s';
const EVENT = makeEvent('1', '/s', 't', undefined, undefined, undefined, undefined, {}, undefined);

function start() {
  const clock = simulatedClock();
  const life: string[] = [];
  const told: SourceState[] = [];
  const here = {
    clock,
    life,
    told,
    failures: 0,
    send: async (_event: CloudEvent): Promise<void> => {},
    settle: () => clock.advance(0),
  };
  const module: SinkModule = {
    type: 'test',
    check: ({ bad }) => (bad ? [{ field: 'bad', reason: 'FieldValueInvalid', message: 'no' }] : []),
    async start() {
      if (here.failures-- > 0) throw new Error('broker away');
      life.push('start');
      return { send: (event) => here.send(event), stop: async () => void life.push('stop') };
    },
  };
  const answering: SinkModule = {
    type: 'answering',
    check: () => [],
    start: async () => ({ send: async (event: CloudEvent) => event, stop: async () => {} }),
  };
  const sinks = new Sinks({
    modules: {
      test: async () => module,
      answering: async () => answering,
      hanging: () => new Promise(() => {}),
    },
    reports: { source: (_, state) => void told.push(state) },
    callMain: async () => null,
    sender: { send: () => Promise.reject(new Error('nothing is sent on')) },
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  return Object.assign(here, { sinks });
}

const spec = (type = 'test', config = {}) => ({ key: KEY, uid: 'u', type, config });

test('a sink takes events while its spec stands', async () => {
  const { sinks, life, settle, ...here } = start();
  assert.equal(sinks.local(KEY), undefined);
  sinks.set(KEY, spec());
  assert.deepEqual(
    await sinks.local(KEY)?.(EVENT),
    { accepted: true },
    'what comes first waits until it has begun',
  );
  await settle();
  sinks.set(KEY, spec());
  await settle();
  assert.deepEqual(life, ['start'], 'the same spec again changes nothing');
  assert.deepEqual(await sinks.local(KEY)?.(EVENT), { accepted: true });
  sinks.set(KEY, spec('test', { other: 1 }));
  await settle();
  assert.deepEqual(life, ['start', 'stop', 'start']);
  sinks.set(KEY, spec('answering'));
  await here.clock.advance(0);
  assert.deepEqual(await sinks.local(KEY)?.(EVENT), { accepted: true, reply: EVENT });
  sinks.set(KEY, null);
  assert.ok(!sinks.has(KEY));
  await sinks.stop(0);
});

test('no event waits for a sink that does not begin', async () => {
  const here = start();
  here.failures = 1;
  here.sinks.set(KEY, spec());
  const early = here.sinks.local(KEY)?.(EVENT);
  assert.equal((await early)?.accepted, false, 'the first attempt fails');
  assert.equal((await here.sinks.local(KEY)?.(EVENT))?.accepted, false);
  await here.clock.advance(1000);
  assert.equal((await here.sinks.local(KEY)?.(EVENT))?.accepted, true);

  here.sinks.set(KEY, spec('hanging'));
  await here.settle();
  const hanging = here.sinks.local(KEY)?.(EVENT);
  await here.clock.advance(5000);
  assert.deepEqual(await hanging, {
    accepted: false,
    status: 503,
    reason: 'sink_not_ready',
    message: 'the sink has not begun',
  });
});

test('what a broker refuses is an answer that is tried again', async () => {
  const here = start();
  here.send = () => Promise.reject(new Error('leader not available'));
  here.sinks.set(KEY, spec());
  await here.settle();
  assert.deepEqual(await here.sinks.local(KEY)?.(EVENT), {
    accepted: false,
    status: 502,
    reason: 'sink_failed',
    message: 'leader not available',
  });
  await here.sinks.stop(0);
});

test('a sink that cannot begin says why, and begins when it can', async () => {
  const here = start();
  here.failures = 1;
  here.sinks.set(KEY, spec());
  await here.settle();
  assert.deepEqual(here.told, [{ ready: false, reason: 'StartFailed', message: 'broker away' }]);
  const refused = await here.sinks.local(KEY)?.(EVENT);
  assert.ok(refused?.accepted === false && refused.status === 503 && refused.message === 'broker away');
  await here.clock.advance(1000);
  assert.equal((await here.sinks.local(KEY)?.(EVENT))?.accepted, true);
  here.sinks.set(KEY, spec('test', { bad: true }));
  await here.clock.advance(1000);
  assert.equal(here.told.at(-1)?.reason, 'InvalidConfiguration');
  here.sinks.set(KEY, spec('none'));
  await here.clock.advance(1000);
  assert.equal(here.told.at(-1)?.reason, 'UnknownType');
  await here.sinks.stop(0);
});
