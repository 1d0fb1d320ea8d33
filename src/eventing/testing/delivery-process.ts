/**
 * A process of its own that accepts and delivers until it is killed: `node delivery-process.ts <dir> <port of the sink> <life>`. Writes the id of
 * each event that it has accepted, a line each. With the life `last` it accepts nothing and ends when everything is delivered.
 */
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { newEvent } from '../../cloudevents/event.ts';
import { createDelivery } from '../delivery/index.ts';
import { openLog } from '../log/index.ts';
import { openState } from '../log/state/index.ts';
import type { SubscriptionSpec } from '../model.ts';

const [dir = '', port = '', life = ''] = process.argv.slice(2);
const KEY = 'broker/ns/b';
const BASE = 'http://127.0.0.1:1/events';
const log = createLogger('error', (line) => process.stderr.write(line));
const clock = systemClock;
const eventLog = await openLog({ dir: join(dir, 'streams'), clock, log });
const state = await openState({ path: join(dir, 'state.db'), clock, log });
const delivery = createDelivery({
  log: eventLog,
  state,
  options: { base: BASE, gateway: { host: '127.0.0.1', port: 1 } },
  reports: { source() {}, subscription() {}, lag() {}, seenType() {} },
  clock,
  random: Math.random,
  logger: log,
  local: () => undefined,
});

const subscription = (name: string, over: Partial<SubscriptionSpec>): void =>
  delivery.setSubscription(`trigger/ns/${name}`, {
    key: `trigger/ns/${name}`,
    uid: name,
    stream: KEY,
    subscriber: { url: `http://127.0.0.1:${port}/${name}` },
    reply: { url: `${BASE}/${KEY}` },
    terms: {
      retry: 1000,
      backoffPolicy: 'linear',
      backoffDelayMs: 5,
      jitter: 0,
      timeoutMs: 5000,
      retryAfterMaxMs: 0,
    },
    concurrency: 8,
    paused: false,
    start: 'earliest',
    ...over,
  });

delivery.setStream(KEY, {
  key: KEY,
  uid: 'stream',
  maxAgeMs: 3_600_000,
  maxBytes: 1e9,
  hardMaxBytes: 1e9,
  dedupMs: 0,
  maxEventBytes: 1e6,
  ttl: true,
  reportTypes: false,
});
subscription('plain', { filters: [{ exact: { type: 'asked' } }] });
subscription('answers', { filters: [{ exact: { type: 'answered' } }] });
subscription('ordered', { orderedBy: 'subject', filters: [{ exact: { type: 'asked' } }] });
await delivery.complete();

if (life === 'last') {
  const waiting = async () =>
    Object.values(await delivery.answers.subscriptions({})).reduce((sum, one) => sum + one.waiting, 0);
  // Twice nothing: a reply may have been accepted in between.
  for (let calm = 0; calm < 2; calm = (await waiting()) === 0 ? calm + 1 : 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
  await delivery.drain(1000);
  await delivery.close();
  await state.close();
  await eventLog.close();
} else {
  let made = 0;
  const produce = async () => {
    for (;;) {
      const n = made++;
      const id = `${life}-${n}`;
      const event = newEvent(
        { id, type: 'asked', source: '/test', subject: `s${n % 4}` },
        clock.now(),
        () => id,
      );
      const answer = await delivery.acceptor.accept(KEY, event);
      if (answer.accepted) process.stdout.write(`${id}\n`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  for (let i = 0; i < 8; i++) void produce();
}
