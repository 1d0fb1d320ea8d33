/** A sink on a real server, and whether what it sends is the same event where it is read again. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { until } from '../../../../test/lib/brokers/server.ts';
import { systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/log.ts';
import { type CloudEvent, newEvent } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import type { Harness, State } from '../../sources/testing/harness.ts';
import type { RunningSink, SinkModule } from '../contract.ts';

export interface StartedSink {
  send: RunningSink['send'];
  state(): State;
}

/** Starts a sink; it is stopped with the test. */
export async function startSink(
  t: TestContext,
  module: SinkModule,
  config: Record<string, Json>,
): Promise<StartedSink> {
  assert.deepEqual(module.check(config), []);
  const states: State[] = [];
  const sink = await module.start({
    key: 'sink/default/test',
    config,
    report: (state) => states.push(state),
    callMain: () => Promise.reject(new Error('nobody is asked')),
    sender: { send: () => Promise.reject(new Error('nothing is sent on')) },
    clock: systemClock,
    log: silentLogger,
  });
  t.after(() => sink.stop(0));
  return {
    send: (event) => sink.send(event),
    state: () => states.at(-1) ?? { ready: false, reason: 'Starting', message: '' },
  };
}

let ids = 0;

/** Events of all shapes, with new ids each time. */
export const samples = (): CloudEvent[] => {
  const make = (fields: Partial<Parameters<typeof newEvent>[0]>) =>
    newEvent({ type: 'com.shop.order', source: '/shop/€', ...fields }, Date.now(), () => `id-${++ids}`);
  return [
    make({
      data: { n: 1 },
      subject: 'Grüße 😀',
      extensions: { partitionkey: 'k1', traceparent: '00-a-b-01' },
    }),
    make({ data: 'text', datacontenttype: 'text/plain; charset=utf-8' }),
    make({
      data: Buffer.from([0, 255, 1]),
      datacontenttype: 'application/octet-stream',
      dataschema: 'https://s/1',
    }),
  ];
};

/** The same event, whatever a transport without types has made of its attributes. */
export function assertSame(actual: CloudEvent | undefined, expected: CloudEvent): void {
  const plain = ({ data, extensions, ...core }: CloudEvent) => ({
    ...core,
    extensions: Object.fromEntries(Object.entries(extensions).map(([name, value]) => [name, String(value)])),
    data: data?.toString('base64'),
  });
  assert.ok(actual);
  assert.deepEqual(plain(actual), plain(expected));
}

/** Sends all samples and expects the source to bring them as they were. */
export async function roundTrip(sink: StartedSink, source: Harness): Promise<void> {
  await source.ready();
  const events = samples();
  for (const event of events) await sink.send(event);
  const here = (id: string) => source.taken.some((one) => one.id === id);
  await until(() => events.every(({ id }) => here(id)), 'all are here');
  for (const event of events)
    assertSame(
      source.taken.find(({ id }) => id === event.id),
      event,
    );
}

/** Kills the server under a sink: what is sent meanwhile is refused, and what is confirmed is there. Answers the ids of the latter. */
export async function sendThrough(
  sink: StartedSink,
  server: { kill(): Promise<void>; start(): Promise<void> },
  event: (id: string) => CloudEvent,
): Promise<Set<string>> {
  const confirmed = new Set<string>();
  let count = 0;
  let refused = 0;
  const sendSome = async (many: number) => {
    const sent = Array.from({ length: many }, async () => {
      const id = `through-${++count}`;
      await sink.send(event(id)).then(
        () => confirmed.add(id),
        () => refused++,
      );
    });
    await Promise.all(sent);
  };
  await sendSome(50);
  assert.equal(confirmed.size, 50);
  const dying = sendSome(50);
  await server.kill();
  await dying;
  await server.start();
  await until(
    async () => {
      const before = confirmed.size;
      await sendSome(1);
      return confirmed.size > before;
    },
    'the sink is back',
    60_000,
  );
  return confirmed;
}
