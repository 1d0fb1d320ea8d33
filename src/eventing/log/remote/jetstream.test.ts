/** Streams in a real JetStream: the promises of the log's contract. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { natsServer } from '../../../../test/lib/brokers/nats.ts';
import { systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/log.ts';
import type { StreamSpec } from '../../model.ts';
import type { Entry } from '../contract.ts';
import type { RemoteStream } from './index.ts';
import { openJetStream } from './jetstream.ts';

const server = await natsServer();
if (typeof server === 'string') test('JetStream', { skip: server }, () => {});
else
  describe('JetStream', () => {
    after(() => server.stop());
    let names = 0;
    const spec = (change: Partial<StreamSpec> = {}): StreamSpec => ({
      key: `broker/default/b${names++}`,
      uid: 'u1',
      backend: { type: 'jetstream', config: { servers: [server.url] } },
      maxAgeMs: 3_600_000,
      maxBytes: 1 << 30,
      hardMaxBytes: 1 << 30,
      dedupMs: 0,
      maxEventBytes: 1 << 20,
      ttl: true,
      reportTypes: false,
      ...change,
    });
    const around = { clock: systemClock, log: silentLogger };
    const open = async (of: StreamSpec): Promise<RemoteStream> => {
      const stream = await openJetStream(of, around);
      after(() => stream.close(true));
      return stream;
    };
    const record = (text: string) => Buffer.from(text);
    const texts = (entries: readonly Entry[]) => entries.map((entry) => entry.record.toString());
    /** What it tells of, and a way to wait for so many. */
    const told = (stream: RemoteStream) => {
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
    };
    const all = async (stream: RemoteStream, from = stream.start): Promise<Entry[]> => {
      const found: Entry[] = [];
      for (let at = from; at < stream.end; ) {
        const part = await stream.read(at, 1000);
        if (part.length === 0) break;
        found.push(...part);
        at = (part.at(-1)?.offset ?? at) + 1;
      }
      return found;
    };

    test('what is acknowledged is told in order, and read again from memory and from the store', async () => {
      const of = spec();
      const stream = await open(of);
      const heard = told(stream);
      const before = Date.now();
      const offsets = await Promise.all(
        Array.from({ length: 300 }, (_, i) => stream.append(record(`e${i}`), before)),
      );
      await heard.until(300);
      assert.deepEqual(
        heard.entries.map(({ offset }) => offset),
        offsets.map(({ offset }) => offset),
      );
      assert.equal(texts(await all(stream)).join(), Array.from({ length: 300 }, (_, i) => `e${i}`).join());
      assert.ok(Math.abs((heard.entries[0]?.at ?? 0) - before) < 60_000);
      await stream.close(false);
      const again = await open(of);
      assert.equal(again.end, stream.end);
      assert.equal(texts(await all(again)).join(), Array.from({ length: 300 }, (_, i) => `e${i}`).join());
      assert.equal(await again.seek(before - 60_000), again.start);
      assert.equal(await again.seek(Date.now() + 60_000), again.end);
    });

    test('what another process appends is told of, too', async () => {
      const of = spec();
      const [one, two] = [await open(of), await open(of)];
      const heard = told(one);
      await two.append(record('from two'), 0);
      await heard.until(1);
      assert.deepEqual(texts(heard.entries), ['from two']);
    });

    test('the same key within the window is kept once', async () => {
      const stream = await open(spec({ dedupMs: 60_000 }));
      const first = await stream.append(record('a'), 0, '/s 1');
      const second = await stream.append(record('a'), 0, '/s 1');
      assert.deepEqual(
        [first.duplicate, second.duplicate, second.offset === first.offset],
        [false, true, true],
      );
      assert.equal((await stream.append(record('b'), 0, '/s 2')).duplicate, false);
    });

    test('a full stream refuses, and takes again when what is not needed has gone', async () => {
      const stream = await open(spec({ hardMaxBytes: 40_000, maxBytes: 20_000 }));
      const heard = told(stream);
      let kept = 0;
      await assert.rejects(
        async () => {
          for (;;) {
            await stream.append(Buffer.alloc(5000, 1), 0);
            kept++;
          }
        },
        { code: 'DiskFull' },
      );
      assert.ok(kept >= 5 && kept <= 8, String(kept));
      await heard.until(kept);
      stream.need(stream.end);
      for (;;) {
        try {
          await stream.append(Buffer.alloc(5000, 2), 0);
          break;
        } catch (error) {
          assert.equal((error as { code: string }).code, 'DiskFull');
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
      assert.ok(stream.start > 1);
    });

    test('another uid begins anew, and what is dropped is gone', async () => {
      const of = spec();
      const stream = await open(of);
      await stream.append(record('old'), 0);
      await stream.close(false);
      const next = await open({ ...of, uid: 'u2' });
      assert.deepEqual(texts(await all(next)), []);
      await next.append(record('new'), 0);
      await next.close(true);
      const last = await open({ ...of, uid: 'u2' });
      assert.equal(last.end, last.start);
    });

    test('a server that is killed loses nothing acknowledged, and is found again', async () => {
      const stream = await open(spec());
      const heard = told(stream);
      for (let i = 0; i < 20; i++) await stream.append(record(`before ${i}`), 0);
      await server.kill();
      await assert.rejects(stream.append(record('lost'), 0), { code: 'NotReady' });
      await assert.rejects(openJetStream(spec(), around), { code: 'NotReady' });
      await server.start();
      for (;;) {
        try {
          await stream.append(record('after'), 0);
          break;
        } catch (error) {
          assert.equal((error as { code: string }).code, 'NotReady');
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
      await heard.until(21);
      assert.deepEqual(
        texts(await all(stream)).slice(0, 20),
        Array.from({ length: 20 }, (_, i) => `before ${i}`),
      );
      assert.equal(texts(heard.entries).at(-1), 'after');
    });

    test('a configuration that cannot be meant is refused', async () => {
      const backend = { type: 'jetstream', config: { replicas: 99 } };
      await assert.rejects(openJetStream(spec({ backend }), around), { code: 'InvalidArgument' });
    });
  });
