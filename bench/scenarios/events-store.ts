/** The store of events alone: how fast it commits, and what ten million events cost. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import type { Stream } from '../../src/eventing/log/contract.ts';
import { openLog } from '../../src/eventing/log/index.ts';
import type { StreamSpec } from '../../src/eventing/model.ts';
import { quantile, type Row } from '../lib/report.ts';

const GROUP = 100;
const RECORD = Buffer.alloc(1024, 'e');
/** Ten million events of this size are 1.3 GB. */
const SMALL_RECORD = Buffer.alloc(100, 'e');
const LONE = 2000;
const GROUPED = 500_000;
const STORED = Number(process.env.PETREL_BENCH_EVENTS ?? 10_000_000);
const MIB = 1024 * 1024;

const log = createLogger('error', (line) => process.stderr.write(line));

const spec = (dedupMs: number): StreamSpec => ({
  key: 'broker/default/bench',
  uid: `dedup-${dedupMs}`,
  maxAgeMs: 86_400_000,
  maxBytes: 1e12,
  hardMaxBytes: 1e12,
  dedupMs,
  maxEventBytes: MIB,
  ttl: true,
  reportTypes: false,
});

/** No key comes twice. */
let keys = 0;

/** Several producers, each with one group after the other. Milliseconds, and processor time in microseconds for each event. */
async function groups(stream: Stream, record: Buffer, count: number, producers: number, keyed: boolean) {
  const began = performance.now();
  const cpu = process.cpuUsage();
  let sent = 0;
  const at = Date.now();
  await Promise.all(
    Array.from({ length: producers }, async () => {
      while (sent < count) {
        const group: Promise<unknown>[] = [];
        for (let i = 0; i < GROUP; i++)
          group.push(
            stream.append(record, at, keyed ? `https://shop.example.com/orders\0${keys++}` : undefined),
          );
        sent += GROUP;
        await Promise.all(group);
      }
    }),
  );
  const used = process.cpuUsage(cpu);
  return { ms: performance.now() - began, cpu: (used.user + used.system) / sent };
}

async function inDirectory<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-bench-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function commits(dedupMs: number): Promise<Row[]> {
  return inDirectory(async (dir) => {
    const events = await openLog({ dir, clock: systemClock, log });
    const stream = await events.open(spec(dedupMs));
    stream.need(Number.MAX_SAFE_INTEGER);
    await groups(stream, RECORD, 50_000, 1, dedupMs > 0);
    const lone: number[] = [];
    for (let i = 0; i < LONE; i++) {
      const began = performance.now();
      await stream.append(RECORD, Date.now(), dedupMs > 0 ? `lone ${i}` : undefined);
      lone.push(performance.now() - began);
    }
    const one = await groups(stream, RECORD, GROUPED, 1, dedupMs > 0);
    const four = await groups(stream, RECORD, GROUPED, 4, dedupMs > 0);
    await events.close();
    const how = dedupMs > 0 ? 'event store with de-duplication' : 'event store';
    return [
      {
        what: `${how}, 1 KB: one append alone, p50`,
        value: quantile(lone, 0.5),
        unit: 'ms',
        note: `p99 ${quantile(lone, 0.99).toFixed(2)} ms`,
      },
      {
        what: `${how}, 1 KB: groups of ${GROUP}, one after the other`,
        value: GROUPED / (one.ms / 1000),
        unit: 'appends/s',
        ...(dedupMs === 0 && { reach: { at: 200_000, better: 'higher' as const } }),
        note: `${one.cpu.toFixed(2)} µs of processor time each, the disk's part included`,
      },
      {
        what: `the same, four at once`,
        value: GROUPED / (four.ms / 1000),
        unit: 'appends/s',
        note: `${four.cpu.toFixed(2)} µs each`,
      },
    ];
  });
}

async function stored(): Promise<Row[]> {
  return inDirectory(async (dir) => {
    // Never closed: the next start finds what a kill would leave.
    const killed = await (await openLog({ dir, clock: systemClock, log })).open(spec(600_000));
    const tenth = STORED / 10;
    await groups(killed, SMALL_RECORD, tenth, 4, true);
    globalThis.gc?.();
    const early = process.memoryUsage().rss;
    await groups(killed, SMALL_RECORD, STORED - tenth, 4, true);
    globalThis.gc?.();
    const late = process.memoryUsage().rss;
    const began = performance.now();
    const events = await openLog({ dir, clock: systemClock, log });
    const stream = await events.open(spec(600_000));
    const opened = performance.now() - began;
    await stream.append(SMALL_RECORD, Date.now(), 'first');
    const first = performance.now() - began;
    const count = stream.end - stream.start - 1;
    await events.close();
    const millions = `${STORED / 1e6} million events`;
    return [
      {
        what: `${millions}: start after a kill, until the first append is on disk`,
        value: first / 1000,
        unit: 's',
        reach: { at: 2, better: 'lower' },
        note: `${count.toLocaleString('en')} events, readable after ${opened.toFixed(0)} ms; the rest looks up what came lately`,
      },
      {
        what: `${millions}: memory added by the last nine tenths`,
        value: (late - early) / MIB,
        unit: 'MiB',
        reach: { at: 64, better: 'lower' },
        note: `${(late / MIB).toFixed(0)} MiB in all; newest events and keys are bounded`,
      },
    ];
  });
}

export async function measure(): Promise<Row[]> {
  return [...(await commits(0)), ...(await commits(600_000)), ...(await stored())];
}
