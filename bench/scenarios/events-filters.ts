/** Many triggers on one broker: how many events come in beside the matching, and what a filter costs. */

import { makeEvent } from '../../src/cloudevents/event.ts';
import { compileFilters, type FilterSpec } from '../../src/cloudevents/filter.ts';
import { createFilterIndex } from '../../src/cloudevents/filter-index.ts';
import { createBroker, createTriggers, produce } from '../lib/events.ts';
import { createFunctions, functionObject, uploadSource } from '../lib/functions.ts';
import { startPlatform } from '../lib/platform.ts';
import type { Row } from '../lib/report.ts';

const TRIGGERS = 1000;
/** One event in so many is of a type that somebody wants. */
const WANTED = 10;
const LOOKS = 20_000;

/** Filters of the trigger with that number: each kind in turn, and each of its own. */
function filters(i: number): FilterSpec[] {
  const type = `com.shop.kind${i}`;
  const kinds: FilterSpec[][] = [
    [{ exact: { type, source: '/bench' } }],
    [{ prefix: { type: `${type}.` } }],
    [{ suffix: { type: `.kind${i}` } }],
    [{ any: [{ exact: { type } }, { exact: { subject: type } }] }],
    [{ all: [{ prefix: { source: '/bench' } }, { exact: { type } }] }],
    [{ not: { prefix: { type: 'com.shop' } } }],
    [{ cesql: `type = '${type}' AND source LIKE '/be%'` }],
    [{ cesql: `EXISTS subject AND subject = '${type}'` }],
    [{ exact: { type } }, { prefix: { source: '/be' } }],
    [{ exact: { subject: type } }],
  ];
  return kinds[i % kinds.length]!;
}

const all = Array.from({ length: TRIGGERS }, (_, i) => [`t${i}`, filters(i)] as const);

/** Microseconds for one look at an event, over all triggers at once and filter by filter. */
function costs(): { atOnce: number; each: number } {
  const index = createFilterIndex<string>();
  const compiled = all.map(([name, one]) => {
    index.set(name, { filters: one });
    return compileFilters({ filters: one });
  });
  const events = Array.from({ length: 100 }, (_, i) =>
    makeEvent(
      `${i}`,
      '/bench',
      `com.shop.kind${i}`,
      undefined,
      undefined,
      undefined,
      undefined,
      {},
      undefined,
    ),
  );
  const time = (look: (i: number) => void, count: number) => {
    for (let i = 0; i < count / 4; i++) look(i);
    const from = performance.now();
    for (let i = 0; i < count; i++) look(i);
    return ((performance.now() - from) * 1000) / count;
  };
  const atOnce = time((i) => index.match(events[i % 100]!), LOOKS);
  const each = time((i) => {
    for (const filter of compiled) filter.matches(events[i % 100]!);
  }, LOOKS / 10);
  return { atOnce, each: each / TRIGGERS };
}

export async function measure(): Promise<Row[]> {
  const { atOnce, each } = costs();
  const platform = await startPlatform();
  try {
    const source = `export default { fetch: () => new Response(null, { status: 204 }) };\n`;
    const digest = await uploadSource(platform, 'sink.ts', source);
    await createFunctions(platform, [functionObject('sink', digest, 'sink.ts')]);
    await createBroker(platform);
    await createTriggers(platform, 'sink', Object.fromEntries(all));
    const type = `(n % ${WANTED} == 0) and ("com.shop.kind" .. (n % ${TRIGGERS})) or "com.shop.nothing"`;
    await produce(platform, { connections: 50, seconds: 3, type });
    const load = await produce(platform, { connections: 50, seconds: 8, type });
    return [
      {
        what: `events in, ${TRIGGERS} triggers with mixed filters on the broker`,
        value: load.requestsPerSecond,
        unit: 'events/s',
        reach: { at: 5000, better: 'higher' },
        note: `p99 ${load.p99ms} ms, one in ${WANTED} is delivered`,
      },
      {
        what: 'one filter, compiled',
        value: each,
        unit: 'µs',
        reach: { at: 1, better: 'lower' },
        note: `all ${TRIGGERS} at once, with the index: ${atOnce.toFixed(1)} µs`,
      },
    ];
  } finally {
    await platform.stop();
  }
}
