/** Authentication of the router: with the Secret of Fission's chart every path asks for a token, without it none. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli, type Json } from './cli.ts';

const RECORDER = `let calls = 0;
module.exports = async ({ request }) => {
  if (request.headers['x-fission-timer-name']) calls++;
  return { status: 200, body: String(calls) };
};`;

describe("the router's tokens", () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    await fission.envCreate('nodejs', 'ghcr.io/fission/node-env');
    await fission.fnCreate('guarded', 'nodejs', RECORDER, { requestsPerPod: 50, concurrency: 1 });
    const functionref = { type: 'name', name: 'guarded', functionweights: null };
    const corsConfig = { allowOrigins: ['https://a.test'] };
    await fission.routeCreate('guarded', {
      relativeurl: '/guarded',
      methods: ['GET'],
      functionref,
      corsConfig,
    });
    await fission.create('TimeTrigger', 'timetriggers', 'tick', { cron: '@every 1s', functionref });
    await fission.wait('httptriggers', 'guarded', 'Ready');
    await fission.wait('functions', 'guarded', 'Ready');
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });

  const secrets = '/api/v1/namespaces/fission/secrets';
  const login = (given: Json) =>
    fission.visit('/auth/login', {
      method: 'POST',
      body: typeof given === 'string' ? given : JSON.stringify(given),
      headers: { 'content-type': 'application/json' },
    });
  const status = async (path: string, token?: string) =>
    (await fission.visit(path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }))
      .status;
  const becomes = (path: string, wanted: number) =>
    eventually(`${path} answers ${wanted}`, async () => (await status(path)) === wanted);
  const user = { username: 'admin', password: 'hush' };

  test('without the Secret nobody is asked', async () => {
    assert.equal((await login(user)).status, 404);
    assert.equal(await status('/guarded'), 200);
  });

  test('with it, a token is asked for and given to who knows the password', async () => {
    const stringData = { ...user, jwtSigningKey: 'a-key-of-some-length' };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'router' }, stringData };
    assert.equal((await fission.request('POST', secrets, secret)).code, 201);
    await becomes('/guarded', 401);
    await becomes('/fission-function/guarded', 401);
    assert.equal(await status('/router-healthz'), 200);
    const given = await login(user);
    assert.equal(given.status, 201);
    const { accesstoken, tokentype } = JSON.parse(given.body);
    assert.equal(tokentype, 'Bearer');
    assert.equal(await status('/guarded', accesstoken), 200);
    assert.equal(await status('/fission-function/guarded', accesstoken), 200);
    assert.equal(await status('/guarded', `${accesstoken}x`), 403);
    const preflight = await fission.visit('/guarded', {
      method: 'OPTIONS',
      headers: { origin: 'https://a.test', 'access-control-request-method': 'GET' },
    });
    assert.equal(preflight.headers['access-control-allow-origin'], 'https://a.test');
    for (const wrong of [{ ...user, password: 'x' }, { ...user, username: 'root' }, {}])
      assert.equal((await login(wrong)).status, 401);
    for (const bad of ['', 'no json', '[', `"${'x'.repeat(20_000)}"`])
      assert.equal((await login(bad)).status, 400);
    assert.equal((await fission.visit('/auth/login')).status, 405);
  });

  test('triggers of the platform have tokens of their own', async () => {
    const token = JSON.parse((await login(user)).body).accesstoken;
    const calls = async () =>
      Number((await fission.visit('/guarded', { headers: { authorization: `Bearer ${token}` } })).body);
    const before = await calls();
    await eventually('the timer', async () => (await calls()) > before);
  });

  test("the router's internal address wants none, and has a secret in it", async () => {
    const { FISSION_ROUTER_INTERNAL_URL: url = '' } = await petrel.json<Record<string, string>>([
      'fission',
      'env',
    ]);
    const base = new URL(url).pathname;
    const posted = await fission.visit(`${base}/fission-function/guarded?q=1`, { method: 'POST', body: 'x' });
    assert.equal(posted.status, 200, posted.body);
    assert.equal(await status(`${base.slice(0, -1)}/fission-function/guarded`), 404);
    assert.equal(await status('/fission-internal/fission-function/guarded'), 404);
    assert.equal(await status(`${base}/fission-function/nobody`), 404);
  });

  test('another key makes the tokens of before worthless; without the Secret nobody is asked', async () => {
    const token = JSON.parse((await login(user)).body).accesstoken;
    const { body } = await fission.request('GET', `${secrets}/router`);
    body.data.jwtSigningKey = Buffer.from('another-key').toString('base64');
    assert.equal((await fission.request('PUT', `${secrets}/router`, body)).code, 200);
    await eventually('it is refused', async () => (await status('/guarded', token)) === 403);
    assert.equal((await fission.request('DELETE', `${secrets}/router`)).code, 200);
    await becomes('/guarded', 200);
    assert.equal((await login(user)).status, 404);
  });
});
