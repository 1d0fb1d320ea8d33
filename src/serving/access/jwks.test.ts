/** Key sets: bounded, retried with patience, kept while the server is away. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { createJwks } from './jwks.ts';

const URL = 'https://id.test/jwks';

function setUp(...answers: (Response | Error)[]) {
  const clock = simulatedClock();
  const at: number[] = [];
  const changes: string[] = [];
  const jwks = createJwks({
    clock,
    log: silentLogger,
    fetch: (async () => {
      at.push(clock.monotonic());
      const next = answers.shift() ?? new Error('away');
      if (next instanceof Error) throw next;
      return next;
    }) as typeof fetch,
    onChange: (url) => changes.push(url),
  });
  const begun = clock.monotonic();
  return { clock, jwks, changes, times: () => at.map((ms) => ms - begun) };
}

const set = (kid: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ keys: [{ kty: 'oct', kid }] }), { headers });

test('a set is kept while its server is away, which is asked again with growing patience', async () => {
  const { clock, jwks, changes, times } = setUp(set('a', { 'cache-control': 'public, max-age=60' }));
  assert.equal(jwks.keys(URL), undefined);
  await jwks.settled();
  assert.equal(jwks.keys(URL)?.[0]?.kid, 'a');
  assert.deepEqual(changes, [URL]);
  await clock.advance(70_000);
  assert.deepEqual(times(), [0, 60_000, 61_000, 63_000, 67_000]);
  jwks.missing(URL);
  await clock.advance(0);
  assert.equal(times().length, 5, 'a stranger does not shorten the patience');
  assert.equal(jwks.keys(URL)?.[0]?.kid, 'a');
  jwks.stop();
  assert.equal(clock.pending(), 0);
});

test('what is no set, too long or an error changes nothing; the same set again tells nobody', async () => {
  const huge = new Response(`{"keys":[${'"x",'.repeat(100_000)}"x"]}`);
  const { clock, jwks, changes } = setUp(
    set('a'),
    new Response('<html>'),
    huge,
    new Response('{"keys":[]}', { status: 500 }),
    set('a'),
    set('b'),
  );
  jwks.keys(URL);
  await jwks.settled();
  await clock.advance(3_600_000);
  await clock.advance(30_000);
  assert.equal(jwks.keys(URL)?.[0]?.kid, 'a');
  assert.deepEqual(changes, [URL]);
  await clock.advance(3_600_000);
  assert.equal(jwks.keys(URL)?.[0]?.kid, 'b');
  assert.equal(changes.length, 2);
  jwks.keep(new Set());
  assert.equal(clock.pending(), 0, 'what nobody asks for is not followed');
});
