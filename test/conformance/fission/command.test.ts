/** The real `fission` command, where there is one: a day's work with it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawZip } from '../../../src/functions/testing/archives.ts';
import { SECRETS } from '../../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { findCommand, RealCommand } from '../../lib/real-command.ts';

const FISSION = findCommand('fission');
const MISSING = 'no fission on PATH; github.com/fission/fission has releases, and $FISSION may name one';

describe('the fission command', { skip: FISSION === undefined ? MISSING : false }, () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let env: Record<string, string> = {};
  before(async () => {
    if (FISSION === undefined) return;
    platform = await petrel.up();
    env = await petrel.json<Record<string, string>>(['fission', 'env']);
    scratch.write({
      'hello.js': `module.exports = async () => {
        console.log('somebody is greeted');
        return { status: 200, body: 'hello, world!' };
      };`,
      'bye.js': "module.exports = async () => ({ status: 200, body: 'good bye' });",
    });
    cpSync(fileURLToPath(new URL('specs/guestbook', import.meta.url)), scratch.path('guestbook'), {
      recursive: true,
    });
  });
  after(async () => {
    if (FISSION !== undefined) await petrel.stop();
    scratch.dispose();
  });

  const { ok: fission, run } = new RealCommand(
    'fission',
    FISSION ?? '',
    () => ({ cwd: scratch.dir, env: { HOME: scratch.dir, ...env } }),
    () => petrel.log(),
  );
  const visit = async (path: string) => (await call(platform.gateway, path)).body;

  test('env create, fn create, fn test, route create', async () => {
    await fission('env', 'create', '--name', 'nodejs', '--image', 'ghcr.io/fission/node-env');
    await fission('fn', 'create', '--name', 'hello', '--env', 'nodejs', '--code', 'hello.js');
    assert.match(await fission('fn', 'test', '--name', 'hello'), /hello, world!/);
    assert.match(await fission('fn', 'log', '--name', 'hello'), /somebody is greeted/);
    await fission('route', 'create', '--name', 'hello', '--function', 'hello', '--url', '/hello');
    await eventually('the route', async () => (await visit('/hello')) === 'hello, world!');
  });

  test('fn update, fn list, pkg list, ht list', async () => {
    await fission('fn', 'update', '--name', 'hello', '--code', 'bye.js');
    await eventually('the new code', async () => (await visit('/hello')) === 'good bye');
    assert.match(await fission('fn', 'list'), /hello/);
    assert.match(await fission('pkg', 'list'), /nodejs/);
    assert.match(await fission('ht', 'list'), /\/hello/);
  });

  test('fn create --deploy with an archive that is too large for a Package; pkg getdeploy brings it back', async () => {
    const zip = rawZip([
      { name: 'index.js', body: "module.exports = async () => ({ status: 200, body: 'large' });" },
      { name: 'ballast.bin', body: randomBytes(300 * 1024).toString('latin1') },
    ]);
    writeFileSync(scratch.path('large.zip'), zip);
    await fission('fn', 'create', '--name', 'large', '--env', 'nodejs', '--deploy', 'large.zip');
    assert.match(await fission('fn', 'test', '--name', 'large'), /large/);
    const listed: { metadata: { name: string } }[] = JSON.parse(await fission('pkg', 'list', '-o', 'json'));
    const pkg = listed.find(({ metadata }) => metadata.name.startsWith('large-'));
    await fission('pkg', 'getdeploy', '--name', pkg?.metadata.name ?? '', '--output', 'back.zip');
    assert.deepEqual(readFileSync(scratch.path('back.zip')), zip);
  });

  test('fn create --versioning auto, alias create, fn update, fn rollback', async () => {
    await fission(
      'fn',
      'create',
      '--name',
      'kept',
      '--env',
      'nodejs',
      '--code',
      'hello.js',
      '--versioning',
      'auto',
    );
    const versions = () => fission('fn', 'versions', '--name', 'kept');
    await eventually('the first', async () => /kept-v1/.test(await versions()));
    await fission('alias', 'create', '--name', 'prod', '--function', 'kept', '--version', 'kept-v1');
    await fission('fn', 'update', '--name', 'kept', '--code', 'bye.js');
    await eventually('the second', async () => /kept-v2/.test(await versions()));
    await eventually('the new code', async () =>
      /good bye/.test(await fission('fn', 'test', '--name', 'kept')),
    );
    assert.match(await fission('fn', 'test', '--name', 'kept', '--alias', 'prod'), /hello, world!/);
    await fission('alias', 'update', '--name', 'prod', '--version', 'kept-v2', '--wait');
    await eventually('it moves', async () =>
      /good bye/.test(await fission('fn', 'test', '--name', 'kept', '--alias', 'prod')),
    );
    await fission('fn', 'rollback', '--name', 'kept', '--alias', 'prod', '--wait');
    await eventually('it is back', async () =>
      /hello/.test(await fission('fn', 'test', '--name', 'kept', '--alias', 'prod')),
    );
    assert.doesNotMatch(await versions(), /kept-v3/, 'one change is one version');
  });

  test('timer showschedule and version know the time and the version here', async () => {
    const year = String(new Date().getUTCFullYear());
    assert.match(
      await fission('timer', 'showschedule', '--cron', '@hourly'),
      new RegExp(`Time: \\s*${year}`),
    );
    assert.match(await fission('version'), /petrel-/);
  });

  test('token create, and a token of that for who calls', async () => {
    const api = await petrel.api();
    const stringData = { username: 'admin', password: 'hush', jwtSigningKey: 'k'.repeat(32) };
    const metadata = { name: 'router', namespace: 'fission' };
    await api.create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata, stringData } as never);
    await eventually('it asks', async () => (await call(platform.gateway, '/hello')).status === 401);
    const token = await fission('token', 'create', '--username', 'admin', '--password', 'hush');
    const headers = { authorization: `Bearer ${token.trim()}` };
    assert.equal((await call(platform.gateway, '/hello', { headers })).status, 200);
    env = { ...env, FISSION_AUTH_TOKEN: token.trim() };
    assert.match(await fission('fn', 'test', '--name', 'hello'), /good bye/);
    await api.delete(SECRETS, 'fission', 'router');
    await eventually('it asks no more', async () => (await call(platform.gateway, '/hello')).status === 200);
    api.close();
  });

  test('spec apply', async () => {
    const { code, stdout, stderr } = await run(['spec', 'apply', '--wait'], scratch.path('guestbook'));
    assert.equal(code, 0, stdout + stderr);
    await eventually('the guest', async () => (await visit('/guestbook/ada')) === 'guest ada');
  });

  test('env delete refuses what is used; fn delete, ht delete', async () => {
    assert.notEqual((await run(['env', 'delete', '--name', 'nodejs'])).code, 0);
    await fission('ht', 'delete', '--name', 'hello');
    await fission('fn', 'delete', '--name', 'hello');
    await eventually(
      'it goes',
      async () => (await call(platform.gateway, '/fission-function/hello')).status === 404,
    );
  });
});
