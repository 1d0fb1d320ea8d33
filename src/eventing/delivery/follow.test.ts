import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { newEvent } from '../../cloudevents/event.ts';
import { encodeRecord } from '../../cloudevents/record.ts';
import { directory, opened, spec } from '../log/testing/log.ts';
import { follow } from './follow.ts';
import { headOf } from './questions.ts';

test('who looks on sees what comes, from where they were, and only what they asked for', async (t) => {
  const clock = simulatedClock();
  const { log } = await opened(t, directory(t), { clock });
  const stream = await log.open(spec());
  let id = 0;
  const send = (type: string) => {
    const event = newEvent({ type, source: '/s', data: { n: id } }, clock.now(), () => `${id}`);
    return stream.append(encodeRecord(event), clock.now() + id++);
  };
  const ids = (answer: Awaited<ReturnType<typeof follow>>) =>
    answer.events.map(({ event }) => event.attributes.id);
  const ask = (input: Partial<Parameters<typeof follow>[1]> = {}) =>
    follow(stream, { stream: 'broker/default/orders', limit: 10, waitMs: 1000, ...input }, clock, headOf);
  for (const type of ['paid', 'sent', 'paid']) await send(type);

  // New ones only, as soon as there are some.
  const waiting = ask();
  await send('sent');
  const first = await waiting;
  assert.deepEqual(ids(first), ['3']);
  assert.equal(first.next, 4);
  assert.deepEqual(first.events[0]?.event.data, '{"n":3}');
  assert.equal(clock.pending(), 0);

  assert.deepEqual(ids(await ask({ from: 0, limit: 2 })), ['0', '1']);
  assert.deepEqual(ids(await ask({ since: clock.now() + 2 })), ['2', '3']);
  const filtered = await ask({ from: 0, filters: [{ exact: { type: 'paid' } }] });
  assert.deepEqual([ids(filtered), filtered.next], [['0', '2'], 4]);

  // What does not pass wakes nobody, and is not looked at again.
  const patient = ask({ from: 4, filters: [{ cesql: "type = 'none'" }] });
  await send('paid');
  await clock.advance(1000);
  assert.deepEqual(await patient, { events: [], next: 5 });
  assert.deepEqual(await ask({ from: 99, waitMs: 0 }), { events: [], next: 5 });
  await assert.rejects(ask({ filters: [{ cesql: 'type =' }] }), { code: 'InvalidArgument' });
});
