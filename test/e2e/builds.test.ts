/** Builds, by the real command: dependencies by the language's own tool, logs, failures, and what must not happen twice. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import type { Job } from '../../src/kinds/job.ts';
import { FUNCTIONS, JOBS } from '../../src/kube/refs.ts';
import { call, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const get = (name: string) => call(platform.gateway, '/', { host: `${name}.default.localhost` });

/** An application with one dependency, which comes with it: no registry is needed. */
function shop(name: string, says: string, lock: object = {}): string {
  const json = (value: object) => JSON.stringify(value);
  scratch.write({
    [`${name}/package.json`]: json({
      name,
      version: '1.0.0',
      main: 'index.js',
      dependencies: { dep: 'file:./dep' },
    }),
    [`${name}/package-lock.json`]: json({
      name,
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name, version: '1.0.0', dependencies: { dep: 'file:./dep' } },
        dep: { version: '1.0.0' },
        'node_modules/dep': { resolved: 'dep', link: true },
        ...lock,
      },
    }),
    [`${name}/dep/package.json`]: json({ name: 'dep', version: '1.0.0', main: 'index.js' }),
    [`${name}/dep/index.js`]: `module.exports = () => ${JSON.stringify(says)};`,
    [`${name}/index.js`]: `const dep = require('dep'); exports.handle = async () => ({ body: dep() });`,
  });
  return scratch.path(name);
}

test('dependencies are brought by npm ci, and the same source is not built twice', async () => {
  const path = shop('shop', 'hello from dep');
  const { code, stdout, stderr } = await petrel.run(['deploy', path]);
  assert.equal(code, 0, stderr + petrel.log());
  assert.match(stderr, /added 1 package/, 'the log of the build is shown');
  assert.doesNotMatch(stdout, /added/, 'and only the URL is data');
  assert.equal((await get('shop')).body, 'hello from dep');
  await petrel.deploy(path, '--name', 'shop-again');
  assert.equal((await get('shop-again')).body, 'hello from dep');
  const api = await petrel.api();
  try {
    const jobs = await api.list<Job>(JOBS, { namespace: 'default' });
    assert.equal(jobs.items.length, 1);
    const fn = await api.get<PetrelFunction>(FUNCTIONS, 'default', 'shop');
    assert.equal(fn.status?.build?.phase, 'Succeeded');
    assert.equal(fn.status?.conditions?.find(({ type }) => type === 'BuildSucceeded')?.status, 'True');
  } finally {
    api.close();
  }
});

test('a lock file that does not match fails with the words of npm, and the old revision goes on', async () => {
  const path = shop('broken', 'one');
  await petrel.deploy(path);
  scratch.write({
    'broken/package.json': JSON.stringify({
      name: 'broken',
      version: '1.0.0',
      main: 'index.js',
      dependencies: { dep: 'file:./dep', other: 'file:./other' },
    }),
    'broken/other/package.json': JSON.stringify({ name: 'other', version: '1.0.0' }),
  });
  const refused = await petrel.refused(['deploy', path]);
  assert.equal(refused.code, 'BuildFailed');
  assert.equal(refused.exit, 24);
  assert.match(
    refused.message,
    /npm ci.*can only install packages when your package.json and package-lock.json/s,
  );
  assert.match(refused.why, /broken-00001 goes on serving/);
  assert.equal((await get('broken')).body, 'one');
});

test('what needs no build has none', async () => {
  scratch.write({
    'plain/package.json': '{"type":"module"}',
    'plain/index.js': 'export default () => "plain";',
  });
  await petrel.deploy(scratch.path('plain'));
  const api = await petrel.api();
  try {
    const fn = await api.get<PetrelFunction>(FUNCTIONS, 'default', 'plain');
    assert.equal(fn.status?.build, undefined);
  } finally {
    api.close();
  }
});
