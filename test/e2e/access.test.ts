/** Who may call a function, which instance answers and how often it does: from the command line to the gateway, on a real platform. */
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
const jwks: { keys: object[] } = { keys: [] };
const identity: Server = createServer((_, res) => res.end(JSON.stringify(jwks)));
let platform: Status;

const SOURCE = `let served = 0;
const who = crypto.randomUUID();
export default { async fetch(request) {
  const url = new URL(request.url);
  const next = url.searchParams.get('call');
  const called = next === null ? null : await fetch(next, { headers: { 'x-petrel-hops': request.headers.get('x-petrel-hops') } });
  return Response.json({
    who, served: ++served, method: request.headers.get('x-petrel-auth-method'), subject: request.headers.get('x-petrel-auth-subject'),
    body: await request.text(), gateway: process.env.PETREL_GATEWAY_URL, functions: process.env.PETREL_FUNCTIONS_URL,
    called: called === null ? null : called.status,
  });
} };`;

interface Seen {
  who: string;
  served: number;
  method: string | null;
  subject: string | null;
  body: string;
  gateway: string;
  functions: string;
  called: number | null;
}

before(async () => {
  await new Promise<void>((resolve) => identity.listen(0, '127.0.0.1', resolve));
  platform = await petrel.up();
  scratch.write({ 'shop.js': SOURCE });
});
after(async () => {
  identity.closeAllConnections();
  identity.close();
  await petrel.stop();
  scratch.dispose();
});

const deploy = (name: string, ...options: string[]) =>
  petrel.deploy(scratch.path('shop.js'), '--name', name, ...options);
const ask = (
  name: string,
  headers: Record<string, string> = {},
  more: { method?: string; body?: string; query?: string } = {},
) => call(platform.gateway, `/fn/default/${name}/${more.query ?? ''}`, { headers, ...more });
const seen = ({ body }: { body: string }) => JSON.parse(body) as Seen;

async function secret(name: string, data: Record<string, string>): Promise<void> {
  const lines = Object.entries(data).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
  scratch.write({
    'secret.yaml': [
      'apiVersion: v1',
      'kind: Secret',
      `metadata: {name: ${name}}`,
      'stringData:',
      ...lines,
      '',
    ].join('\n'),
  });
  const { code, stdout, stderr } = await petrel.run(['deploy', scratch.path('secret.yaml')]);
  assert.equal(code, 0, stdout + stderr);
}

test('an API key is asked for, keys are changed while the platform runs, and across its restart', async () => {
  await secret('keys', { ann: 'first' });
  await deploy('keyed', '--auth', 'api-key=keys', '--cors', 'https://app.test');
  assert.equal((await ask('keyed')).status, 401);
  const status = async (key: string) => (await ask('keyed', { 'x-api-key': key })).status;
  await eventually('the key', async () => (await status('first')) === 200);
  const { subject, method } = seen(
    await ask('keyed', { authorization: 'Bearer first', 'x-petrel-auth-subject': 'root' }),
  );
  assert.deepEqual([method, subject], ['api-key', 'ann']);
  const preflight = await ask(
    'keyed',
    { origin: 'https://app.test', 'access-control-request-method': 'PUT' },
    { method: 'OPTIONS' },
  );
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.test');
  await secret('keys', { ann: 'second' });
  await eventually('the new key', async () => (await status('second')) === 200);
  assert.equal(await status('first'), 403);
  await petrel.stop();
  platform = await petrel.up();
  assert.equal((await ask('keyed')).status, 401, 'closed from the first request on');
  assert.equal(await status('first'), 403);
  assert.equal(await status('second'), 200);
  await deploy('keyed', '--auth', 'none');
  await eventually('nobody is asked', async () => (await ask('keyed')).status === 200);
});

test('tokens are checked with the keys behind a URL, whose next key is found when it is used', async () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const makeKey = (kid: string) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    jwks.keys.push({ ...publicKey.export({ format: 'jwk' }), kid });
    return (claims: object) => {
      const signed = `${part({ alg: 'ES256', kid })}.${part(claims)}`;
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return { authorization: `Bearer ${signed}.${signature.toString('base64url')}` };
    };
  };
  const token = makeKey('one');
  const url = `http://127.0.0.1:${(identity.address() as AddressInfo).port}/jwks`;
  await deploy('tokens', '--auth', `jwt=${url}`);
  const exp = Math.floor(Date.now() / 1000) + 600;
  const good = await eventually('the key set', async () => {
    const answer = await ask('tokens', token({ sub: 'ann@x.test', exp }));
    return answer.status === 200 && seen(answer);
  });
  assert.deepEqual([good.method, good.subject], ['jwt', 'ann@x.test']);
  assert.equal((await ask('tokens', token({ sub: 'ann', exp: 1 }))).status, 403);
  assert.equal((await ask('tokens')).status, 401);
  const next = makeKey('two');
  await eventually(
    'the next key',
    async () => (await ask('tokens', next({ sub: 'bob', exp }))).status === 200,
  );
});

test('a signed body reaches the function whole, an unsigned one never', async () => {
  await secret('hook', { secret: 'hush' });
  await deploy('hooked', '--auth', 'hmac=hook');
  const body = 'x'.repeat(300_000);
  const signature = `sha256=${createHmac('sha256', 'hush').update(body).digest('hex')}`;
  const answer = await eventually('the secret', async () => {
    const found = await ask('hooked', { 'x-hub-signature-256': signature }, { body });
    return found.status === 200 && found;
  });
  assert.equal(seen(answer).body.length, body.length);
  assert.equal((await ask('hooked', { 'x-hub-signature-256': signature }, { body: 'other' })).status, 403);
  assert.equal((await ask('hooked', {}, { body })).status, 401);
});

test('a limit on clients, and requests with the same key at the same instance', async () => {
  await deploy('limited', '--rate-limit', '2/h');
  const statuses = await Promise.all([ask('limited'), ask('limited'), ask('limited')]);
  assert.deepEqual(statuses.map(({ status }) => status).sort(), [200, 200, 429]);
  await deploy('stuck', '--sticky', 'query=room', '--min', '3');
  await eventually('three instances', async () => {
    const rooms = Array.from({ length: 40 }, (_, i) => ask('stuck', {}, { query: `?room=${i}` }));
    return new Set((await Promise.all(rooms)).map((one) => seen(one).who)).size === 3;
  });
  for (let room = 0; room < 5; room++) {
    const answers = await Promise.all(
      [1, 2, 3, 4].map((i) => ask('stuck', {}, { query: `?x=${i}&room=${room}` })),
    );
    assert.equal(new Set(answers.map((one) => seen(one).who)).size, 1);
  }
});

test('an instance works on one request in its life, however many come', async () => {
  await deploy('once', '--once-only', 'yes');
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask('once')));
  for (let i = 0; i < 3; i++) answers.push(await ask('once'));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
    petrel.log(),
  );
  assert.ok(answers.every((one) => seen(one).served === 1));
  assert.equal(new Set(answers.map((one) => seen(one).who)).size, answers.length);
});

test('functions reach each other through the gateway, which stops those that go round in circles', async () => {
  await deploy('a');
  const { gateway, functions } = seen(await ask('a'));
  assert.equal(gateway, `http://${platform.gateway}`);
  assert.equal(functions, `http://${platform.gateway}/fn/default`);
  assert.equal(
    seen(await ask('a', {}, { query: `?call=${encodeURIComponent(`${functions}/a/`)}` })).called,
    200,
  );
  const late = await ask(
    'a',
    { 'x-petrel-hops': '15' },
    { query: `?call=${encodeURIComponent(`${functions}/a/`)}` },
  );
  assert.equal(seen(late).called, 508);
  assert.equal((await ask('a', { 'x-petrel-hops': '16' })).status, 508);
});

test('what cannot hold is refused with the field', async () => {
  const refused = await petrel.refused([
    'deploy',
    scratch.path('shop.js'),
    '--name',
    'bad',
    '--cors',
    'app.test',
  ]);
  assert.match(refused.message + refused.why, /spec\.access\.cors\.allowOrigins\[0\]/);
});
