import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { simulatedClock } from '../../../base/clock.ts';
import type { Json } from '../../../kinds/object.ts';
import { SourceWorld } from '../../testing/source-context.ts';
import type { SourceAnswer } from '../contract.ts';
import { type WebhookConfig, webhookSource } from './webhook.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const SECONDS = String(NOW / 1000);
const hmac = (text: string, secret = 's3cret', algorithm = 'sha256', encoding: 'hex' | 'base64' = 'hex') =>
  createHmac(algorithm, secret).update(text).digest(encoding);

async function hook(config: WebhookConfig) {
  const world = new SourceWorld(simulatedClock(NOW));
  const running = await world.start(webhookSource, config);
  const post = (body: string, headers: Record<string, string> = {}, method = 'POST'): Promise<SourceAnswer> =>
    running.request!({
      method,
      path: '',
      headers: Object.entries({ 'content-type': 'application/json', ...headers }).flat(),
      body: Buffer.from(body),
    });
  return { world, post };
}

const PUSH = JSON.stringify({
  action: 'opened',
  repository: { full_name: 'octo/shop', html_url: 'https://github.com/octo/shop' },
});

test('GitHub: attributes from headers and body, the bytes as they came', async () => {
  const { world, post } = await hook({ provider: 'github', secret: 's3cret' });
  const { status, headers } = await post(PUSH, {
    'x-hub-signature-256': `sha256=${hmac(PUSH)}`,
    'x-github-event': 'pull_request',
    'x-github-delivery': 'd-1',
  });
  assert.equal(status, 202);
  assert.equal(headers?.['x-event-id'], 'd-1');
  const [event] = world.sent;
  assert.equal(event?.id, 'd-1');
  assert.equal(event?.type, 'com.github.pull_request.opened');
  assert.equal(event?.source, 'https://github.com/octo/shop');
  assert.equal(event?.subject, 'octo/shop');
  assert.equal(event?.data?.toString(), PUSH);
});

const STRIPE = JSON.stringify({
  id: 'evt_1',
  type: 'invoice.paid',
  created: NOW / 1000,
  data: { object: { id: 'in_1' } },
});

test('Stripe: any of its signatures, not too old', async () => {
  const { world, post } = await hook({ provider: 'stripe', secret: ['old', 's3cret'] });
  const sign = (stamp: string) => `t=${stamp},v1=${'0'.repeat(64)},v1=${hmac(`${stamp}.${STRIPE}`)},v0=x`;
  assert.equal((await post(STRIPE, { 'stripe-signature': sign(SECONDS) })).status, 202);
  assert.equal(world.sent[0]?.type, 'com.stripe.invoice.paid');
  assert.equal(world.sent[0]?.subject, 'in_1');
  assert.equal(world.sent[0]?.time, '2026-03-01T12:00:00.000Z');
  const late = await post(STRIPE, { 'stripe-signature': sign(String(NOW / 1000 - 301)) });
  assert.equal(late.status, 401);
  assert.match(late.body ?? '', /five minutes/);
  assert.equal(world.sent.length, 1);
});

test('Slack: the greeting is answered, events are taken', async () => {
  const { world, post } = await hook({ provider: 'slack', secret: 's3cret' });
  const sent = (body: string) =>
    post(body, {
      'x-slack-request-timestamp': SECONDS,
      'x-slack-signature': `v0=${hmac(`v0:${SECONDS}:${body}`)}`,
    });
  const greeted = await sent(JSON.stringify({ type: 'url_verification', challenge: 'c1' }));
  assert.deepEqual(JSON.parse(greeted.body ?? ''), { challenge: 'c1' });
  assert.equal(world.sent.length, 0);
  await sent(
    JSON.stringify({ type: 'event_callback', event_id: 'Ev1', event: { type: 'message', channel: 'C1' } }),
  );
  assert.equal(world.sent[0]?.id, 'Ev1');
  assert.equal(world.sent[0]?.type, 'com.slack.message');
});

test('generic: header, algorithm, encoding and prefix of the sender; an id of its own', async () => {
  const { world, post } = await hook({
    secret: 's3cret',
    header: 'X-Shop-Hmac',
    algorithm: 'sha512',
    encoding: 'base64',
    prefix: 'v1,',
    type: 'com.shop.order',
    idHeader: 'X-Request-Id',
  });
  const signature = `v1,${hmac('plain', 's3cret', 'sha512', 'base64')}`;
  const { status } = await post('plain', {
    'x-shop-hmac': signature,
    'x-request-id': 'r1',
    'content-type': 'text/plain',
  });
  assert.equal(status, 202);
  assert.deepEqual(
    [world.sent[0]?.id, world.sent[0]?.type, world.sent[0]?.datacontenttype],
    ['r1', 'com.shop.order', 'text/plain'],
  );
});

const REFUSED: [what: string, headers: Record<string, string>][] = [
  ['no signature', {}],
  ['a wrong one', { 'x-hub-signature-256': `sha256=${hmac(PUSH, 'other')}` }],
  ['one of another length', { 'x-hub-signature-256': 'sha256=ab' }],
  ['one without its prefix', { 'x-hub-signature-256': hmac(PUSH) }],
  ['the old kind', { 'x-hub-signature': `sha1=${hmac(PUSH, 's3cret', 'sha1')}` }],
];
for (const [what, headers] of REFUSED)
  test(`${what} is refused, and nothing is sent`, async () => {
    const { world, post } = await hook({ provider: 'github', secret: 's3cret' });
    assert.equal((await post(PUSH, headers)).status, 401);
    assert.equal(world.sent.length, 0);
  });

test('a body that is no JSON, or none at all, or has odd fields, breaks nothing', async () => {
  const { world, post } = await hook({ provider: 'github', unsigned: true });
  for (const body of ['{', '', 'null', '[]', '{"action":{"a":1},"repository":"x"}', '{"action":"\\r\\nx"}'])
    assert.equal((await post(body)).status, 202, body);
  assert.deepEqual([...new Set(world.sent.map(({ type }) => type))], ['com.github.event']);
});

test('other methods, and the handshake of the specification', async () => {
  const { post } = await hook({ unsigned: true });
  assert.equal((await post('', {}, 'GET')).status, 405);
  const { status, headers } = await post('', { 'webhook-request-origin': 'sender.example' }, 'OPTIONS');
  assert.equal(status, 200);
  assert.equal(headers?.['webhook-allowed-origin'], 'sender.example');
});

test('what cannot be written in time is for the sender to send again', async () => {
  const clock = simulatedClock(NOW);
  const world = new SourceWorld(clock);
  world.handed = () => new Promise(() => {});
  const running = await world.start(webhookSource, { unsigned: true });
  const asked = running.request!({ method: 'POST', path: '', headers: [], body: Buffer.from('{}') });
  await clock.advance(10_000);
  const { status, headers } = await asked;
  assert.equal(status, 503);
  assert.equal(headers?.['retry-after'], '5');
});

test('bad configurations are refused by field, without showing secrets', () => {
  const problems = (config: Record<string, Json>) => webhookSource.check(config);
  const fields = (config: Record<string, Json>) => problems(config).map(({ field }) => field);
  assert.deepEqual(fields({}), ['secret']);
  assert.deepEqual(fields({ unsigned: true }), []);
  assert.deepEqual(fields({ secret: 'x', unsigned: true }), ['unsigned']);
  assert.deepEqual(
    fields({ secret: 'x', provider: 'gitlab', algorithm: 'md5', encoding: 'utf8', header: 'a b' }),
    ['provider', 'algorithm', 'encoding', 'header'],
  );
  assert.doesNotMatch(JSON.stringify(problems({ secret: ['hush', 7] })), /hush/);
});
