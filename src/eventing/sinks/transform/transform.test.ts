import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/log.ts';
import { type CloudEvent, newEvent } from '../../../cloudevents/event.ts';
import type { Outcome } from '../../delivery/contract.ts';
import { SinkRefusal } from '../contract.ts';
import { Evaluator } from './evaluator.ts';
import { type TransformConfig, transformSink } from './transform.ts';

const event = newEvent({ id: '1', source: '/s', type: 'in', data: { n: 20 } }, 0, () => '');
const EXPRESSION =
  '{"specversion": "1.0", "id": id, "source": source, "type": "out", "data": {"m": data.n + 1}}';
const answered = (more: Partial<Outcome>): Outcome => ({
  headers: [],
  body: Buffer.alloc(0),
  truncated: false,
  ms: 1,
  ...more,
});

async function begin(t: TestContext, config: TransformConfig, outcome?: Outcome) {
  const sent: CloudEvent[] = [];
  const told: string[] = [];
  const running = await transformSink.start({
    key: 'transform/default/t',
    config,
    report: ({ ready, message }) => void told.push(`${ready} ${message}`),
    callMain: () => Promise.reject(new Error('not asked')),
    sender: {
      async send(_, events) {
        sent.push(...events);
        return outcome ?? answered({ status: 202 });
      },
    },
    clock: systemClock,
    log: silentLogger,
  });
  t.after(() => running.stop(0));
  const send = (one = event) => running.send(one) as Promise<CloudEvent | undefined>;
  return { send, sent, told };
}

test('an event becomes another, which is the answer', async (t) => {
  const { send, told } = await begin(t, { expression: EXPRESSION });
  const reply = await send();
  assert.deepEqual([reply?.type, reply?.id, String(reply?.data)], ['out', '1', '{"m":21}']);
  assert.deepEqual(told, []);
});

test('with a sink, its answer comes back: as it is, transformed, or not at all', async (t) => {
  const sink = { url: 'http://sink.example.com' };
  const reply = newEvent({ id: '2', source: '/sink', type: 'reply', data: { k: 'v' } }, 0, () => '');
  const outcome = answered({ status: 200, reply });
  const plain = await begin(t, { expression: EXPRESSION, sink }, outcome);
  assert.equal((await plain.send())?.type, 'reply');
  assert.equal(plain.sent[0]?.type, 'out');
  const changed = await begin(
    t,
    {
      expression: EXPRESSION,
      sink,
      reply: '$merge([$, {"type": "changed"}])',
    },
    outcome,
  );
  assert.equal((await changed.send())?.type, 'changed');
  const wrapped = await begin(
    t,
    {
      expression: EXPRESSION,
      sink,
      reply: '{"specversion":"1.0","id":"3","source":"/w","type":"w","data":$}',
    },
    answered({ status: 200, body: Buffer.from('plain text') }),
  );
  assert.equal(String((await wrapped.send())?.data), '"plain text"');
  const discarded = await begin(t, { expression: EXPRESSION, sink, discard: true }, outcome);
  assert.equal(await discarded.send(), undefined);
});

test('what goes wrong has the status that tells whether to try again', async (t) => {
  const sink = { url: 'http://sink.example.com' };
  const refused = (status: number, message: RegExp) => (error: Error) =>
    error instanceof SinkRefusal && error.status === status && message.test(error.message);
  const cases: [TransformConfig, Outcome | undefined, number, RegExp][] = [
    [{ expression: EXPRESSION, sink }, answered({ status: 404 }), 404, /answered 404/],
    [{ expression: EXPRESSION, sink }, answered({ error: 'nobody listens' }), 502, /nobody listens/],
    [{ expression: '{"type": "x"}' }, undefined, 500, /is no event/],
    [{ expression: 'nothing.here' }, undefined, 500, /gives nothing/],
    [{ expression: '$error("no")' }, undefined, 500, /no/],
  ];
  for (const [config, outcome, status, message] of cases) {
    const { send } = await begin(t, config, outcome);
    await assert.rejects(send(), refused(status, message), JSON.stringify(config));
  }
});

test('an expression that cannot be read is told at once', async (t) => {
  const { told, send } = await begin(t, { expression: '{"a": ' });
  assert.match(told[0] ?? '', /^false .*at character/);
  await assert.rejects(send(), SinkRefusal);
});

test('an expression that never ends, or takes all memory, is ended; those behind it go on', async (t) => {
  const evaluator = new Evaluator(systemClock, 200);
  t.after(() => evaluator.stop());
  const good = { expression: '$ + 1', input: '1' };
  assert.deepEqual(await evaluator.evaluate(good), { ok: true, output: '2' });
  const forever = { expression: '($f := function() { $f() }; $f())', input: '1' };
  const regex = { expression: '$match($, /(a+)+b/)', input: JSON.stringify('a'.repeat(40)) };
  const memory = {
    expression: '$reduce([1..40], function($a, $b) { $a & $a }, "0123456789abcdef") ~> $length',
    input: '1',
  };
  const all = [forever, regex, good, memory, good].map((task) => evaluator.evaluate(task));
  const [loop, search, first, large, second] = await Promise.all(all);
  assert.match(JSON.stringify(loop), /takes longer than 200 ms/);
  assert.match(JSON.stringify(search), /takes longer than 200 ms/);
  assert.equal(large?.ok, false);
  assert.deepEqual(
    [first, second],
    [
      { ok: true, output: '2' },
      { ok: true, output: '2' },
    ],
  );
});
