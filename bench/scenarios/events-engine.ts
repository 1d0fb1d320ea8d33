/** Deliveries alone: streams on disk, matching and the HTTP client, to a sink that does nothing in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock as clock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { newEvent } from '../../src/cloudevents/event.ts';
import { createDelivery, type Delivery } from '../../src/eventing/delivery/index.ts';
import { openLog } from '../../src/eventing/log/index.ts';
import { openState } from '../../src/eventing/log/state/index.ts';
import type { SubscriptionSpec } from '../../src/eventing/model.ts';
import { quantile, type Row } from '../lib/report.ts';

const SINK = fileURLToPath(new URL('../lib/event-sink.ts', import.meta.url));
const KEY = 'broker/default/bench';
const DATA = Buffer.alloc(1024, 'e');
const PRODUCERS = 200;
const EVENTS = 60_000;
const TIMED = 1000;
const TRIGGERS = 1000;
const MIB = 1024 * 1024;
const log = createLogger('error', (line) => process.stderr.write(line));

interface Bench {
  delivery: Delivery;
  port: number;
  sink: ChildProcess;
}

async function withDelivery<T>(work: (bench: Bench) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-bench-'));
  const sink = fork(SINK, { execArgv: [] });
  const [{ port }] = (await once(sink, 'message')) as [{ port: number }];
  const eventLog = await openLog({ dir: join(dir, 'streams'), clock, log });
  const state = await openState({ path: join(dir, 'state.db'), clock, log });
  const delivery = createDelivery({
    log: eventLog,
    state,
    options: { base: 'http://127.0.0.1:1/events', gateway: { host: '127.0.0.1', port: 1 } },
    reports: { source() {}, subscription() {}, lag() {}, seenType() {} },
    clock,
    random: Math.random,
    logger: log,
    local: () => undefined,
  });
  delivery.setStream(KEY, {
    key: KEY,
    uid: 'bench',
    maxAgeMs: 86_400_000,
    maxBytes: 1e12,
    hardMaxBytes: 1e12,
    dedupMs: 600_000,
    maxEventBytes: MIB,
    ttl: true,
    reportTypes: true,
  });
  try {
    return await work({ delivery, port, sink });
  } finally {
    await delivery.drain(1000);
    await delivery.close();
    await state.close();
    await eventLog.close();
    sink.disconnect();
    rmSync(dir, { recursive: true, force: true });
  }
}

const subscribe = (delivery: Delivery, port: number, name: string, filters?: SubscriptionSpec['filters']) =>
  delivery.setSubscription(`trigger/default/${name}`, {
    key: `trigger/default/${name}`,
    uid: name,
    stream: KEY,
    filters,
    subscriber: { url: `http://127.0.0.1:${port}/` },
    reply: { url: `http://127.0.0.1:1/events/${KEY}` },
    terms: {
      retry: 10,
      backoffPolicy: 'exponential',
      backoffDelayMs: 200,
      jitter: 0,
      timeoutMs: 0,
      retryAfterMaxMs: 0,
    },
    concurrency: 64,
    paused: false,
    start: 'latest',
  });

let made = 0;
async function accept(delivery: Delivery, type: string, id = `e${made++}`): Promise<void> {
  const event = newEvent(
    { id, type, source: '/shop', subject: 'abc', datacontenttype: 'text/plain', data: DATA },
    Date.now(),
    () => id,
  );
  const answer = await delivery.acceptor.accept(KEY, event);
  if (!answer.accepted) throw new Error(answer.message);
}

async function settled(delivery: Delivery): Promise<void> {
  for (;;) {
    const states = Object.values(await delivery.answers.subscriptions({}));
    if (states.every(({ waiting }) => waiting === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Accepts and delivers `count` events. Milliseconds until all are delivered, and processor time of this process in µs for each. */
async function burst(delivery: Delivery, count: number, typeOf: (n: number) => string) {
  const began = performance.now();
  const cpu = process.cpuUsage();
  let sent = 0;
  await Promise.all(
    Array.from({ length: PRODUCERS }, async () => {
      while (sent < count) await accept(delivery, typeOf(sent++));
    }),
  );
  await settled(delivery);
  const used = process.cpuUsage(cpu);
  return { ms: performance.now() - began, cpu: (used.user + used.system) / count };
}

async function throughput(): Promise<Row[]> {
  return withDelivery(async ({ delivery, port, sink }) => {
    subscribe(delivery, port, 'all');
    await delivery.complete();
    await burst(delivery, EVENTS / 4, () => 'order');
    const { ms, cpu } = await burst(delivery, EVENTS, () => 'order');
    const sentAt = new Map<string, bigint>();
    for (let n = 0; n < TIMED; n++) {
      const id = `timed-${n}`;
      sentAt.set(id, process.hrtime.bigint());
      await accept(delivery, 'order', id);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    await settled(delivery);
    sink.send('arrivals');
    const [{ arrivals }] = (await once(sink, 'message')) as [{ arrivals: [string, string][] }];
    const took = arrivals.map(([id, at]) => Number(BigInt(at) - sentAt.get(id)!) / 1e6);
    return [
      {
        what: 'events accepted durably and delivered to a no-op sink, 1 KB',
        value: EVENTS / (ms / 1000),
        unit: 'events/s',
        reach: { at: 10_000, better: 'higher' },
        note: `${PRODUCERS} producers; ${cpu.toFixed(0)} µs of processor time each, the disk's part included`,
      },
      {
        what: 'event brought → sink called, low load, p50',
        value: quantile(took, 0.5),
        unit: 'ms',
        reach: { at: 2, better: 'lower' },
        note: 'on disk in between',
      },
      { what: 'the same, p99', value: quantile(took, 0.99), unit: 'ms', reach: { at: 10, better: 'lower' } },
    ];
  });
}

/** A trigger's filters, of one kind or another; all want the type of its number. */
const mixed = (n: number): SubscriptionSpec['filters'] =>
  [
    [{ exact: { type: `order.${n}` } }],
    [{ all: [{ prefix: { type: `order.${n}` } }, { suffix: { type: `.${n}` } }] }],
    [{ cesql: `type = 'order.${n}' AND subject LIKE 'a%'` }],
    [{ any: [{ exact: { type: `order.${n}` } }, { exact: { subject: `none-${n}` } }] }],
  ][n % 4];

async function triggers(): Promise<Row[]> {
  return withDelivery(async ({ delivery, port }) => {
    for (let n = 0; n < TRIGGERS; n++) subscribe(delivery, port, `t${n}`, mixed(n));
    await delivery.complete();
    await burst(delivery, EVENTS / 12, (n) => `order.${n % TRIGGERS}`);
    const { ms, cpu } = await burst(delivery, EVENTS / 3, (n) => `order.${n % TRIGGERS}`);
    return [
      {
        what: `the same with ${TRIGGERS.toLocaleString('en')} triggers of mixed filters on the broker`,
        value: EVENTS / 3 / (ms / 1000),
        unit: 'events/s',
        reach: { at: 5000, better: 'higher' },
        note: `${cpu.toFixed(0)} µs of processor time each`,
      },
    ];
  });
}

async function hanging(): Promise<Row[]> {
  const hung = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(hung, 'listening');
  const nobody = (hung.address() as { port: number }).port;
  try {
    return await withDelivery(async ({ delivery, port }) => {
      for (let n = 0; n < TRIGGERS; n++) subscribe(delivery, nobody, `hangs${n}`);
      subscribe(delivery, port, 'fine');
      await delivery.complete();
      const before = process.memoryUsage().rss;
      const began = performance.now();
      const count = 3000;
      for (let n = 0; n < count; n += 100)
        await Promise.all(Array.from({ length: 100 }, () => accept(delivery, 'order')));
      const delivered = async () =>
        (await delivery.answers.subscriptions({}))['trigger/default/fine']?.delivered ?? 0;
      while ((await delivered()) < count) await new Promise((resolve) => setTimeout(resolve, 5));
      const ms = performance.now() - began;
      return [
        {
          what: `one sink that works beside ${TRIGGERS.toLocaleString('en')} that hang`,
          value: count / (ms / 1000),
          unit: 'events/s',
          note: `each event is for all; ${((process.memoryUsage().rss - before) / MIB).toFixed(0)} MiB of memory for it`,
        },
      ];
    });
  } finally {
    hung.close();
  }
}

export async function measure(): Promise<Row[]> {
  return [...(await throughput()), ...(await triggers()), ...(await hanging())];
}
