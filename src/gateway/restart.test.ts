/** Workers replaced under load: clients that follow HTTP's rules lose nothing. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { type H2Client, h2Client } from './testing/h2.ts';
import { eventually, get, type Harness, HOST, KEY, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance } from './testing/mux-instance.ts';

/** What a kind of client has seen. */
interface Tally {
  answered: number;
  /** Sent again because HTTP allows it: nothing of the answer had arrived, or the stream was refused unseen. */
  again: number;
  failed: string[];
}

const tally = (): Tally => ({ answered: 0, again: 0, failed: [] });

async function keptAlive(h: Harness, stop: () => boolean, t: Tally): Promise<void> {
  let c = new RawClient(h.port);
  let first = true;
  while (!stop()) {
    try {
      const r = await c.send(get()).response();
      first = false;
      if (r.status === 200) t.answered++;
      else t.failed.push(`${r.status} ${r.body}`);
      if (r.headers.connection !== 'close') continue;
    } catch (error) {
      // In the queue of the listener that closes: nobody has read a byte of it.
      if (first && c.text === '') t.again++;
      else t.failed.push(String(error));
    }
    c.destroy();
    c = new RawClient(h.port);
    first = true;
  }
  c.destroy();
}

async function fresh(h: Harness, stop: () => boolean, t: Tally): Promise<void> {
  while (!stop()) {
    for (let attempt = 0; ; attempt++) {
      const c = new RawClient(h.port);
      try {
        const r = await c.send(get()).response();
        if (r.status === 200) t.answered++;
        else t.failed.push(`${r.status} ${r.body}`);
        break;
      } catch (error) {
        if (c.text !== '' || attempt === 2) {
          t.failed.push(String(error));
          break;
        }
        t.again++;
      } finally {
        c.destroy();
      }
    }
  }
}

async function multiplexed(h: Harness, stop: () => boolean, t: Tally): Promise<void> {
  let c: H2Client = h2Client(h.port);
  const one = async (): Promise<void> => {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (c.session.closed || c.session.destroyed) c = h2Client(h.port);
      const r = await c.fetch('/', {}, 'body');
      if (r.code === 0 && r.status === 200 && r.body === 'ok') {
        t.answered++;
        return;
      }
      if (r.code !== 7) {
        t.failed.push(JSON.stringify(r));
        return;
      }
      t.again++;
    }
    t.failed.push('refused again and again');
  };
  const runs = Array.from({ length: 8 }, async () => {
    while (!stop()) await one();
  });
  await Promise.all(runs);
  c.close();
}

for (const workers of [0, 1, 2]) {
  test(`restart under load loses nothing: kept-alive, fresh, HTTP/2, WebSocket (workers: ${workers})`, async () => {
    const h = await startHarness({ workers });
    const made = await startMuxInstance((s) => {
      if (s.target === '/ws') {
        s.begin(101, { upgrade: 'websocket' });
        s.onData = (chunk) => s.data(chunk);
        s.onEnd = () => s.end();
        return;
      }
      const tell = () => s.respond(200, {}, 'ok');
      if (s.ended) setTimeout(tell, 1);
      else s.onEnd = tell;
    });
    after(async () => {
      await h.gateway.close(0);
      await made.close();
    });
    h.endpoints(made.path);
    const before = [...h.gateway.links];
    const ws = new RawClient(h.port);
    ws.send(`GET /ws HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    assert.equal((await ws.head()).status, 101);
    const echo = async (text: string) => assert.equal(await ws.send(text).take(text.length), text);
    const idle = new RawClient(h.port);
    await idle.send(get()).response();

    let stopped = false;
    const stop = () => stopped;
    const [kept, news, h2] = [tally(), tally(), tally()];
    const runs = [
      ...Array.from({ length: 6 }, () => keptAlive(h, stop, kept)),
      ...Array.from({ length: 3 }, () => fresh(h, stop, news)),
      multiplexed(h, stop, h2),
    ];
    const enough = (n: number) => [kept, news, h2].every((t) => t.answered >= n);
    await eventually(() => enough(20), 'load');
    for (let round = 1; round <= 3; round++) {
      const at = Math.min(kept.answered, news.answered, h2.answered);
      await h.gateway.restart();
      await echo(`round ${round}`);
      await eventually(() => enough(at + 20), 'load after a restart');
    }
    stopped = true;
    await Promise.all(runs);
    assert.deepEqual([kept.failed, news.failed, h2.failed], [[], [], []]);
    assert.ok(
      kept.again + news.again <= 3,
      `${kept.again} + ${news.again} fresh connections were reset before they were accepted`,
    );

    const last = await idle.send(get()).response();
    assert.equal(last.status, 200);
    assert.equal(last.headers.connection, 'close', 'an idle connection goes with its next answer');
    idle.destroy();
    await echo('still there');
    ws.destroy();
    const live = Math.max(1, workers);
    await eventually(
      () => h.gateway.links.filter((link) => link !== null).length === live,
      'old workers to end',
    );
    assert.ok(h.gateway.links.every((link) => link === null || !before.includes(link)));
    await eventually(() => h.gateway.counts(KEY)?.inFlight === 0 && h.gateway.counts(KEY)?.queued === 0);
  });
}

test('a worker that was replaced cuts what has not ended when its time is over; closing does not wait for it', async () => {
  const h = await startHarness({ workers: 1 });
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(async () => {
    server.close();
    server.closeAllConnections();
  });
  h.endpoints({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const hold = new RawClient(h.port).send(get());
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 1);
  await h.gateway.restart(50);
  await hold.end();
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
  const second = new RawClient(h.port).send(get());
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 1);
  await h.gateway.restart();
  await h.gateway.close(20);
  await second.end();
});

test('who connects after a restart is answered, however little grace the old worker has', async () => {
  const h = await startHarness({ workers: 1 });
  const made = await startMuxInstance((s) => s.respond(200, {}, 'ok'));
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  for (let i = 0; i < 20; i++) {
    await h.gateway.restart(0);
    const client = new RawClient(h.port);
    assert.equal((await client.send(get()).response()).status, 200);
    client.destroy();
  }
});
