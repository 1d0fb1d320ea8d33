/** The promises of the log's contract, held against a store elsewhere: a real server, which is killed as well. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type Server, until } from '../../../../../test/lib/brokers/server.ts';
import { systemClock } from '../../../../base/clock.ts';
import { silentLogger } from '../../../../base/log.ts';
import { makeEvent } from '../../../../cloudevents/event.ts';
import { decodeRecord, encodeRecord } from '../../../../cloudevents/record.ts';
import type { Json } from '../../../../kinds/object.ts';
import type { StreamSpec } from '../../../model.ts';
import type { Entry } from '../../contract.ts';
import type { OpenRemote, RemoteStream, RemoteSurroundings } from '../index.ts';

export interface Store {
  type: string;
  /** Skips with this sentence where it is one. */
  server: Server | string;
  config(): Record<string, Json>;
  open: OpenRemote;
  /** One that is refused. */
  wrong: Record<string, Json>;
  /** One of a place where nobody is. */
  nowhere: Record<string, Json>;
  /** What only this store promises. */
  more?(tools: ReturnType<typeof toolsOf>): void;
}

/** What was reported last, by key. */
export const reported = new Map<string, boolean>();
export const around: RemoteSurroundings = {
  clock: systemClock,
  log: silentLogger,
  report: (key, { ready }) => reported.set(key, ready),
};

export const recordOf = (text: string | Buffer): Buffer =>
  encodeRecord(
    makeEvent(
      'i',
      '/s',
      't',
      undefined,
      undefined,
      undefined,
      undefined,
      {},
      typeof text === 'string' ? Buffer.from(text) : text,
    ),
  );
export const texts = (entries: readonly Entry[]): string[] =>
  entries.map(({ record }) => decodeRecord(record).data?.toString() ?? '');

/** What it tells of, and a way to wait for so many. */
export function told(stream: RemoteStream) {
  const entries: Entry[] = [];
  const waiting: { count: number; resolve(): void }[] = [];
  stream.onAppend((more) => {
    entries.push(...more);
    for (const one of waiting) if (entries.length >= one.count) one.resolve();
  });
  return {
    entries,
    until: (count: number) =>
      new Promise<void>((resolve) => {
        if (entries.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
  };
}

export async function all(stream: RemoteStream, from = stream.start): Promise<Entry[]> {
  const found: Entry[] = [];
  for (let at = from; at < stream.end; ) {
    const part = await stream.read(at, 1000);
    if (part.length === 0) break;
    found.push(...part);
    at = (part.at(-1)?.offset ?? at) + 1;
  }
  return found;
}

/** Until it is taken: what is refused meanwhile is refused with `code`. */
export async function insist(stream: RemoteStream, record: Buffer, code: string): Promise<void> {
  for (;;) {
    try {
      await stream.append(record, Date.now());
      return;
    } catch (error) {
      assert.equal((error as { code: string }).code, code);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

let names = 0;
function toolsOf({ type, config, open }: Store) {
  const spec = (change: Partial<StreamSpec> = {}): StreamSpec => ({
    key: `broker/default/b${names++}`,
    uid: 'u1',
    backend: { type, config: config() },
    maxAgeMs: 3_600_000,
    maxBytes: 1 << 30,
    hardMaxBytes: 1 << 30,
    dedupMs: 0,
    maxEventBytes: 1 << 20,
    ttl: true,
    reportTypes: false,
    ...change,
  });
  return {
    spec,
    async open(of: StreamSpec): Promise<RemoteStream> {
      const stream = await open(of, around);
      after(() => stream.close(true));
      return stream;
    },
  };
}

export function holdToPromises(name: string, store: Store): void {
  const { server } = store;
  if (typeof server === 'string') {
    test(name, { skip: server }, () => {});
    return;
  }
  const tools = toolsOf(store);
  const { spec, open } = tools;
  describe(name, () => {
    after(() => server.stop());

    test('what is acknowledged is told in order, and read again from memory and from the store', async () => {
      const of = spec();
      const stream = await open(of);
      const heard = told(stream);
      const before = Date.now();
      const offsets = await Promise.all(
        Array.from({ length: 300 }, (_, i) => stream.append(recordOf(`e${i}`), before)),
      );
      await heard.until(300);
      assert.deepEqual(
        heard.entries.map(({ offset }) => offset),
        offsets.map(({ offset }) => offset),
      );
      const sent = Array.from({ length: 300 }, (_, i) => `e${i}`).join();
      assert.equal(texts(await all(stream)).join(), sent);
      assert.ok(Math.abs((heard.entries[0]?.at ?? 0) - before) < 60_000);
      await stream.close(false);
      const again = await open(of);
      assert.equal(again.end, stream.end);
      assert.equal(texts(await all(again)).join(), sent);
      assert.equal(await again.seek(before - 60_000), again.start);
      assert.equal(await again.seek(Date.now() + 60_000), again.end);
    });

    test('what another process appends is told of, too', async () => {
      const of = spec();
      const [one, two] = [await open(of), await open(of)];
      const heard = told(one);
      await two.append(recordOf('from two'), Date.now());
      await heard.until(1);
      assert.deepEqual(texts(heard.entries), ['from two']);
    });

    test('the same key within the window is kept once', async () => {
      const stream = await open(spec({ dedupMs: 60_000 }));
      const append = (text: string, key: string) => stream.append(recordOf(text), Date.now(), key);
      const [first, meanwhile] = await Promise.all([append('a', '/s 1'), append('a', '/s 1')]);
      const second = await append('a', '/s 1');
      assert.deepEqual(
        [first, meanwhile, second].map(({ duplicate }) => duplicate),
        [false, true, true],
      );
      assert.equal(second.offset, first.offset);
      assert.equal((await append('b', '/s 2')).duplicate, false);
    });

    test('a key is known again after a start', async () => {
      const of = spec({ dedupMs: 60_000 });
      const stream = await open(of);
      const first = await stream.append(recordOf('a'), Date.now(), '/s 1');
      await stream.close(false);
      const again = await open(of);
      assert.deepEqual(await again.append(recordOf('a'), Date.now(), '/s 1'), { ...first, duplicate: true });
    });

    test('a full stream refuses, and takes again when what is not needed has gone', async () => {
      const stream = await open(spec({ hardMaxBytes: 40_000, maxBytes: 20_000 }));
      const heard = told(stream);
      let kept = 0;
      await assert.rejects(
        async () => {
          for (;;) {
            await stream.append(recordOf(Buffer.alloc(5000, 1)), Date.now());
            kept++;
          }
        },
        { code: 'DiskFull' },
      );
      assert.ok(kept >= 5 && kept <= 8, String(kept));
      await heard.until(kept);
      stream.need(stream.end);
      await insist(stream, recordOf(Buffer.alloc(5000, 2)), 'DiskFull');
      assert.ok(stream.start > heard.entries[0]!.offset);
      assert.equal(texts(await all(stream, 0))[0]?.length, 5000, 'the oldest that is left');
    });

    test('another uid begins anew, and what is dropped is gone', async () => {
      const of = spec();
      const stream = await open(of);
      await stream.append(recordOf('old'), Date.now());
      await stream.close(false);
      const next = await open({ ...of, uid: 'u2' });
      assert.deepEqual(texts(await all(next)), []);
      await next.append(recordOf('new'), Date.now());
      await next.close(true);
      const last = await open({ ...of, uid: 'u2' });
      assert.equal(last.end, last.start);
    });

    test('a server that is killed loses nothing acknowledged, and is found again', async () => {
      const stream = await open(spec());
      const heard = told(stream);
      for (let i = 0; i < 20; i++) await stream.append(recordOf(`before ${i}`), Date.now());
      await server.kill();
      await assert.rejects(stream.append(recordOf('lost'), Date.now()), { code: 'NotReady' });
      await assert.rejects(store.open(spec(), around), { code: 'NotReady' });
      await server.start();
      await insist(stream, recordOf('after'), 'NotReady');
      await heard.until(21);
      assert.deepEqual(
        texts(await all(stream)).slice(0, 20),
        Array.from({ length: 20 }, (_, i) => `before ${i}`),
      );
      assert.equal(texts(heard.entries).at(-1), 'after');
    });

    test('it is looked for where the configuration says now, and how that goes is reported', async () => {
      const of = spec();
      const stream = await open(of);
      const heard = told(stream);
      await stream.append(recordOf('a'), Date.now());
      stream.update({ ...of, backend: { type: store.type, config: store.nowhere } });
      await until(() => reported.get(of.key) === false, 'it is reported as lost');
      await assert.rejects(stream.append(recordOf('b'), Date.now()), { code: 'NotReady' });
      stream.update(of);
      await until(() => reported.get(of.key) === true, 'it is reported as found');
      await insist(stream, recordOf('c'), 'NotReady');
      await heard.until(2);
      assert.deepEqual(texts(heard.entries), ['a', 'c']);
    });

    test('a configuration that cannot be meant is refused', async () => {
      const backend = { type: store.type, config: store.wrong };
      await assert.rejects(store.open(spec({ backend }), around), { code: 'InvalidArgument' });
    });

    store.more?.(tools);
  });
}
