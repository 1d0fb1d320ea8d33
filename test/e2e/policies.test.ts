/** A TrafficPolicy written as YAML does to requests what it says, on a real platform, and across its restart. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Answer, call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
  for (const text of ['one', 'two']) {
    scratch.write({
      'shop.ts': `let fails = 0;
export default { fetch(request) {
  if (new URL(request.url).pathname === '/flaky' && fails++ % 2 === 0) return new Response('busy', { status: 503 });
  return Response.json({ version: '${text}', attempt: request.headers.get('x-retry-attempt') });
} };`,
    });
    await petrel.deploy(scratch.path('shop.ts'));
  }
  await petrel.json(['traffic', 'shop', '--to', '1=50,2=50', '--tag', 'green=2']);
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const ask = (path = '', headers: Record<string, string> = {}) =>
  call(platform.gateway, `/fn/default/shop/${path}`, { headers });
const version = ({ body }: Answer) => (JSON.parse(body) as { version: string }).version;
const cookieOf = ({ headers }: Answer) => String(headers['set-cookie'] ?? '').split(';')[0]!;

async function apply(spec: string): Promise<void> {
  scratch.write({
    'policy.yaml': `apiVersion: petrel.dev/v1
kind: TrafficPolicy
metadata: {name: shop}
spec:
  targetRef: {kind: Service, name: shop}
${spec}`,
  });
  const { code, stdout, stderr } = await petrel.run(['deploy', scratch.path('policy.yaml')]);
  assert.equal(code, 0, stdout + stderr + petrel.log());
}

test('rules, sessions, retries and a limit, changed at once without a new revision', async () => {
  await apply(`  rules:
    - match: {headers: [{name: X-Beta, type: Present}]}
      to: {tag: green}
  sessionAffinity: {cookie: at}
  retries: {attempts: 2, on: ["503"], budgetPercent: 100}
`);
  const first = await eventually('a session', async () => {
    const r = await ask();
    return cookieOf(r) === '' ? undefined : r;
  });
  for (let i = 0; i < 6; i++) {
    assert.equal(version(await ask('', { cookie: cookieOf(first) })), version(first));
    assert.equal(version(await ask('', { 'x-beta': '1' })), 'two');
  }
  const retried = await ask('flaky', { cookie: cookieOf(first) });
  assert.equal(retried.status, 200, retried.body);
  assert.equal((JSON.parse(retried.body) as { attempt: string }).attempt, '1');
  await apply('  rateLimit: {requests: 2, seconds: 600, key: {header: x-user}}\n');
  const user = { 'x-user': 'ada' };
  const refused = await eventually('a refusal', async () => {
    const r = await ask('', user);
    return r.status === 429 ? r : undefined;
  });
  assert.equal((JSON.parse(refused.body) as { reason: string }).reason, 'rate_limited');
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const other = [200, 200, 429, 429];
  for (const status of other) assert.equal((await ask('', { 'x-user': 'bob' })).status, status);
});

test('a session stays on its revision across a restart of the platform', async () => {
  await apply('  sessionAffinity: {cookie: at}\n');
  const first = await eventually('a session', async () => {
    const r = await ask();
    return cookieOf(r) === '' ? undefined : r;
  });
  await petrel.stop();
  platform = await petrel.up();
  for (let i = 0; i < 4; i++) {
    const r = await ask('', { cookie: cookieOf(first) });
    assert.equal(r.status, 200, r.body);
    assert.equal(version(r), version(first));
  }
});
