/** CloudEvents in memory: how long one takes to read and write in each form, and a thousand filters to ask. Beside the npm SDK. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type CloudEvent, makeEvent, newEvent } from '../../src/cloudevents/event.ts';
import type { Wanted } from '../../src/cloudevents/filter.ts';
import { createFilterIndex } from '../../src/cloudevents/filter-index.ts';
import { fromHttp, toHttp } from '../../src/cloudevents/http.ts';
import { decodeRecord, encodeRecord } from '../../src/cloudevents/record.ts';
import { median, type Row } from '../lib/report.ts';

const run = promisify(execFile);
const OUT = path.resolve(import.meta.dirname, '../out/cloudevents');
const SDK = 'cloudevents@10.0.0';
const TRIGGERS = 1_000;

/** Microseconds that `task` takes: the median of seven rounds of 100 ms, after one that warms up. */
function microseconds(task: () => unknown): number {
  const round = (): number => {
    const from = performance.now();
    let count = 0;
    let now = from;
    while (now - from < 100) {
      for (let inner = 0; inner < 100; inner++) task();
      count += 100;
      now = performance.now();
    }
    return ((now - from) * 1000) / count;
  };
  round();
  return median(Array.from({ length: 7 }, round));
}

/** 1 KB of JSON with the attributes that brokers commonly see. */
function typical(): CloudEvent {
  return newEvent(
    {
      type: 'com.example.order.created',
      source: '/shop/eu/checkout',
      subject: 'order/12345',
      time: '2026-11-21T09:30:00.123Z',
      extensions: {
        partitionkey: 'customer-17',
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      },
      data: { order: 12345, text: 'x'.repeat(1000) },
    },
    0,
    () => 'b7c8a9d0-1e2f-4a3b-8c4d-5e6f7a8b9c0d',
  );
}

/** Filters as people write them, one of each in turn; most ask for something else than the event has. */
const FILTERS: ((n: number) => Wanted)[] = [
  (n) => ({ filters: [{ exact: { type: `com.example.t${n}` } }] }),
  (n) => ({ attributes: { type: `com.example.t${n}`, source: '/shop' } }),
  (n) => ({ filters: [{ prefix: { type: `com.example.t${n}` } }] }),
  (n) => ({ filters: [{ suffix: { source: `/${n}` } }] }),
  (n) => ({ filters: [{ all: [{ prefix: { subject: 'order/' } }, { suffix: { type: `.t${n}` } }] }] }),
  (n) => ({ filters: [{ any: [{ prefix: { subject: `x/${n}` } }, { suffix: { type: `.t${n}` } }] }] }),
  () => ({ filters: [{ not: { prefix: { type: 'com.' } } }] }),
  (n) => ({ filters: [{ cesql: `type = 'com.example.t${n}' AND amount > 5` }] }),
  (n) => ({ filters: [{ cesql: `type LIKE 'com.example.t${n}%' OR missing = 'x'` }] }),
  () => ({ filters: [{ cesql: "region IN ('us', 'ap') AND LENGTH(subject) > 5" }] }),
];

function filterRows(): Row[] {
  const events = Array.from({ length: TRIGGERS }, (_, n) =>
    // Through a record, as the dispatcher has them.
    decodeRecord(
      encodeRecord(
        makeEvent(
          `${n}`,
          `/shop/eu/${n % 50}`,
          `com.example.t${n}`,
          `order/${n}`,
          undefined,
          undefined,
          undefined,
          { region: 'eu', amount: n % 10 },
          undefined,
        ),
      ),
    ),
  );
  const measured = (kind: string, make: (n: number) => Wanted, at: number): Row => {
    const index = createFilterIndex<number>();
    for (let n = 0; n < TRIGGERS; n++) index.set(n, make(n));
    let next = 0;
    const micros = microseconds(() => index.match(events[next++ % TRIGGERS]!));
    return {
      what: `${TRIGGERS} ${kind}: cost of each for an event`,
      value: micros / TRIGGERS,
      unit: 'µs',
      reach: { at, better: 'lower' },
      note: `${micros.toFixed(1)} µs for all of them`,
    };
  };
  return [
    measured('mixed filters', (n) => FILTERS[n % FILTERS.length]!(n), 1),
    measured('filters on the exact type', FILTERS[0]!, 0.01),
  ];
}

/** The same event and messages through the npm SDK, its data never looked at; undefined where it cannot be had. */
async function sdk(): Promise<Row[]> {
  const { headers, body } = toHttp(typical());
  const named = Object.fromEntries(headers.flatMap((name, at) => (at % 2 ? [] : [[name, headers[at + 1]]])));
  try {
    await mkdir(OUT, { recursive: true });
    await writeFile(path.join(OUT, 'package.json'), '{"private":true}\n');
    await run('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', SDK], {
      cwd: OUT,
      timeout: 120_000,
    });
    const { HTTP } = await import(
      pathToFileURL(path.join(OUT, 'node_modules/cloudevents/dist/index.js')).href
    );
    const event = HTTP.toEvent({ headers: named, body: body?.toString() });
    return [
      {
        what: `peer: npm ${SDK}, parse of binary HTTP`,
        value: microseconds(() => HTTP.toEvent({ headers: named, body: body?.toString() })),
        unit: 'µs',
      },
      {
        what: `peer: npm ${SDK}, serialise to binary HTTP`,
        value: microseconds(() => HTTP.binary(event)),
        unit: 'µs',
      },
    ];
  } catch (thrown) {
    console.error(`left out: ${SDK}: ${thrown instanceof Error ? thrown.message.split('\n')[0] : thrown}`);
    return [];
  }
}

export async function measure(): Promise<Row[]> {
  const event = typical();
  const binary = toHttp(event);
  const structured = toHttp(event, 'structured');
  const record = encodeRecord(event);
  const row = (what: string, task: () => unknown, at?: number): Row => ({
    what: `CloudEvent of 1 KB, ${what}`,
    value: microseconds(task),
    unit: 'µs',
    reach: at === undefined ? undefined : { at, better: 'lower' },
  });
  return [
    row('parse and check binary HTTP', () => fromHttp(binary.headers, binary.body), 2),
    row('serialise to binary HTTP', () => toHttp(event), 2),
    row('parse and check structured HTTP', () => fromHttp(structured.headers, structured.body)),
    row('serialise to structured HTTP', () => toHttp(event, 'structured')),
    row('encode a record of the log', () => encodeRecord(event), 1),
    row('decode a record of the log', () => decodeRecord(record), 1),
    ...(await sdk()),
    ...filterRows(),
  ];
}
