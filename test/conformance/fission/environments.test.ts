/** Environments that bring a server of their own: their image runs, and is specialised over HTTP as Fission's executor does it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawZip } from '../../../src/functions/testing/archives.ts';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli } from './cli.ts';

const IMAGES = fileURLToPath(new URL('images', import.meta.url));

describe('existing environment images', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let fission: FissionCli;
  before(async () => {
    const args = ['up', '--detach', '--gateway', ':0', '--api', ':0'];
    const platform = await petrel.json<Status>(args, { env: { PETREL_IMAGES: IMAGES } });
    fission = await FissionCli.open(petrel, platform);
    await fission.envCreate('words', 'dev.local/words-env', {
      runtime: {
        image: 'dev.local/words-env',
        container: { name: '', env: [{ name: 'MOOD', value: 'glad' }] },
      },
    });
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const named = (functionName: string) => ({
    package: { packageref: { namespace: 'default', name: 'dictionary' }, functionName },
  });

  test('a package is unpacked for it and loaded through /v2/specialize', async () => {
    await fission.wait('environments', 'words', 'Ready');
    const literal = rawZip([
      { name: 'words.txt', body: 'hello:hola\nbye:adios' },
      { name: 'deep/er.txt', body: '' },
    ]).toString('base64');
    const pkg = await fission.pkgCreate('dictionary', 'words', { deployment: { type: 'literal', literal } });
    await fission.fnOf('greeter', 'words', pkg, named('bye'));
    await fission.wait('functions', 'greeter', 'Ready');
    assert.equal((await fission.fnTest('greeter')).body, 'greeter:adios glad 1');
  });

  test('one bare file stands at the place of the package', async () => {
    await fission.fnCreate('single', 'words', 'hello:ciao', { requestsPerPod: 5 });
    await fission.update('functions', 'single', (fn) => {
      fn.spec.package.functionName = 'hello';
    });
    await fission.wait('functions', 'single', 'Ready');
    assert.equal((await fission.fnTest('single')).body, 'single:ciao glad 1');
  });

  test('what the environment says of a function that it cannot load stands in the condition', async () => {
    const pkg = (await fission.get('packages', 'dictionary')).body;
    await fission.fnOf('mute', 'words', pkg, named('silence'));
    const { status } = await fission.wait('functions', 'mute', 'Ready', 'False');
    assert.match(JSON.stringify(status.conditions), /there is no line silence/);
  });

  test('a server that dies is specialised again', async () => {
    await fission.visit('/fission-function/greeter/die').catch(() => {});
    await eventually(
      'it answers again',
      async () => (await fission.fnTest('greeter')).body === 'greeter:adios glad 1',
    );
  });
});
