/** Mirrored traffic and outcomes: what is copied, what is counted, and that nobody notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MirrorCounts, RevisionOutcomes } from '../contract.ts';
import { eventually, RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { names, type Shop, shopRequest, startShop } from '../testing/shop.ts';
import { MIRROR_BODY_LIMIT } from './mirror.ts';
import { addMirror, addOutcomes } from './outcomes.ts';

const mirrorTo = (name: string, percent = 100) => ({ mirror: { revision: `default/${name}`, percent } });

function reported(shop: Shop, key: string) {
  let mirror: MirrorCounts | undefined;
  let outcomes: RevisionOutcomes | undefined;
  let requests = 0;
  for (const s of shop.stats.flat().filter((one) => one.key === key)) {
    requests += s.requestCount;
    if (s.mirror) mirror = addMirror(mirror, s.mirror);
    if (s.outcomes) outcomes = addOutcomes(outcomes, s.outcomes);
  }
  return { mirror, outcomes, requests };
}

async function pair(workers = 0, mirrorHandler?: (s: TestStream) => void) {
  const shop = await startShop({ workers });
  const copies: TestStream[] = [];
  await shop.stock('a', [names('a')]);
  await shop.stock('m', [
    (s) => {
      copies.push(s);
      if (mirrorHandler) mirrorHandler(s);
      else s.respond(500, {}, 'never seen');
    },
  ]);
  return { shop, copies };
}

test('a copy goes to the mirror, marked, with the same id and body, and its answer to nobody', async () => {
  const { shop, copies } = await pair();
  shop.open({ a: 100 }, mirrorTo('m'));
  const client = new RawClient(shop.port);
  assert.equal(
    (await shop.ask({ client, path: '/x?y', headers: ['X-Request-Id: me', 'X-Petrel-Mirror: no'] })).body,
    'a',
  );
  assert.equal((await shop.ask({ client, method: 'POST', body: 'hello' })).body, 'a');
  client.send(
    `${shopRequest({ method: 'POST', headers: ['Transfer-Encoding: chunked'] })}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`,
  );
  assert.equal((await client.response()).body, 'a');
  await eventually(() => copies.length === 3 && copies.every((s) => s.ended));
  assert.deepEqual(
    copies.map((s) => [s.method, s.target, s.headers['x-petrel-mirror'], s.headers.host, s.body.toString()]),
    [
      ['GET', '/x?y', 'true', 'shop.test', ''],
      ['POST', '/', 'true', 'shop.test', 'hello'],
      ['POST', '/', 'true', 'shop.test', 'abcde'],
    ],
  );
  assert.equal(copies[0]!.headers['x-request-id'], 'me');
  client.destroy();
});

test('a percentage of requests is copied exactly, also by several workers', async () => {
  const { shop, copies } = await pair(2);
  shop.open({ a: 100 }, mirrorTo('m', 30));
  for (let i = 0; i < 40; i++) assert.equal((await shop.ask()).body, 'a');
  await eventually(() => copies.length === 12);
  await shop.ask();
});

test('a mirror that hangs holds nobody up, ends with its own time, and wakes its revision', async () => {
  const { shop, copies } = await pair(0, () => {});
  shop.gateway.setRevision('default/m', {
    key: 'default/m',
    containerConcurrency: 1,
    timeoutMs: 150,
    maxRequestBytes: 0,
    queueDepth: 3,
  });
  shop.open({ a: 100 }, mirrorTo('m'));
  const client = new RawClient(shop.port);
  for (let i = 0; i < 10; i++) assert.equal((await shop.ask({ client })).body, 'a');
  assert.ok(shop.demands.some(({ key }) => key === 'default/m'));
  await eventually(() => copies[0]?.reset?.code === 'timeout');
  await eventually(
    () => shop.gateway.counts('default/m')?.inFlight === 0 && shop.gateway.counts('default/m')?.queued === 0,
  );
  await eventually(() => reported(shop, 'default/m').mirror !== undefined);
  const { mirror, requests } = reported(shop, 'default/m');
  assert.deepEqual(mirror, { copied: 4, skipped: { queue_full: 6 } });
  assert.equal(requests, 4, 'the load of the copies is counted where they go');
  assert.equal(reported(shop, 'default/a').requests, 10);
  client.destroy();
});

test('what cannot be copied is counted with its reason', async () => {
  const { shop, copies } = await pair();
  shop.open({ a: 100 }, mirrorTo('m'));
  const client = new RawClient(shop.port);
  await shop.ask({ client, method: 'POST', body: 'x'.repeat(MIRROR_BODY_LIMIT + 1) });
  const size = (MIRROR_BODY_LIMIT + 16).toString(16);
  client.send(`${shopRequest({ method: 'POST', headers: ['Transfer-Encoding: chunked'] })}${size}\r\n`);
  client.send(`${'x'.repeat(MIRROR_BODY_LIMIT + 16)}\r\n0\r\n\r\n`);
  assert.equal((await client.response()).body, 'a');
  await shop.ask({ client, headers: ['Connection: upgrade', 'Upgrade: other'] });
  await shop.ask({ client, method: 'POST', body: 'x'.repeat(MIRROR_BODY_LIMIT) });
  await eventually(() => copies.length === 1 && copies[0]!.received === MIRROR_BODY_LIMIT);
  // the answer comes before the body is complete
  const early = new RawClient(shop.port);
  early.send(`${shopRequest({ method: 'POST', headers: ['Content-Length: 9'] })}abc`);
  assert.equal((await early.response()).body, 'a');
  early.destroy();
  shop.open({ m: 100 }, mirrorTo('m'));
  await shop.ask({ client });
  await eventually(() => reported(shop, 'default/m').mirror?.skipped.same_revision === 1);
  assert.deepEqual(reported(shop, 'default/m').mirror, {
    copied: 1,
    skipped: { body_too_large: 2, upgrade: 1, incomplete: 1, same_revision: 1 },
  });
  client.destroy();
});

test('a mirror that does not exist changes nothing', async () => {
  const { shop } = await pair();
  shop.open({ a: 100 }, mirrorTo('gone'));
  assert.equal((await shop.ask()).body, 'a');
});

for (const workers of [0, 2]) {
  test(`outcomes are counted by class and time where they are asked for (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    const statuses: Record<string, number> = { '/ok': 200, '/moved': 302, '/bad': 404, '/broken': 503 };
    await shop.stock(
      'a',
      [
        (s) => {
          if (s.target === '/cut') {
            s.begin(200);
            s.data('x');
            s.sendReset('handler_error');
          } else if (s.target === '/slow') setTimeout(() => s.respond(200, {}, ''), 70);
          else if (s.target !== '/never') s.respond(statuses[s.target]!, {}, '');
        },
      ],
      { outcomes: true, timeoutMs: 200 },
    );
    shop.open({ a: 100 });
    for (const path of ['/ok', '/ok', '/moved', '/bad', '/broken', '/slow', '/never'])
      await shop.ask({ path });
    await assert.rejects(shop.ask({ path: '/cut' }));
    await eventually(() => reported(shop, 'default/a').requests === 8);
    const { outcomes } = reported(shop, 'default/a');
    assert.deepEqual(outcomes?.classes, [1, 0, 3, 1, 1, 2]);
    const slow = outcomes?.latency.slice(13).reduce((a, b) => a + b, 0);
    assert.ok(slow! >= 2, 'one of 70 ms and one of 200 ms');
    assert.equal(reported(shop, 'default/hello-00001').outcomes, undefined);
  });
}
