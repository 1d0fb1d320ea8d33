/** Spec directories as Fission's users have them: through `petrel deploy`, and plain ones through `kubectl apply`. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { call, eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { findKubectl, Session } from '../kubectl/kubectl.ts';
import { FissionCli } from './cli.ts';

const KUBECTL = findKubectl();
const SPECS = fileURLToPath(new URL('specs', import.meta.url));

describe('spec directories', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    cpSync(SPECS, scratch.path('project'), { recursive: true });
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const deploy = (folder: string) =>
    petrel.json<{ kind: string; outcome: string }[]>(['deploy', scratch.path(join('project', folder))]);
  const visit = async (path: string) => (await call(platform.gateway, path)).body;

  test('petrel deploy: archives are uploaded, objects carry the deployment, the function answers', async () => {
    const applied = await deploy('guestbook/specs');
    assert.deepEqual(
      applied.map(({ kind, outcome }) => `${kind} ${outcome}`),
      ['Environment created', 'Package created', 'Function created', 'HTTPTrigger created'],
    );
    await fission.wait('httptriggers', 'guest', 'Ready');
    assert.equal(await visit('/guestbook/ada'), 'guest ada');
    const { body } = await fission.get('functions', 'guest');
    assert.equal(body.metadata.annotations['fission-name'], 'guestbook');
    assert.equal(body.metadata.annotations['fission-uid'], '7d3cbf9a-54a6-4c76-a2b3-58cbf33a5c2e');
  });

  test('the same again changes nothing; other code is another function when the command returns', async () => {
    const again = await deploy('guestbook/specs');
    assert.ok(
      again.every(({ outcome }) => outcome === 'unchanged'),
      JSON.stringify(again),
    );
    const source = scratch.path('project/guestbook/src/index.js');
    writeFileSync(source, readFileSync(source, 'utf8').replace('guest ', 'visitor '));
    const changed = await deploy('guestbook/specs');
    assert.deepEqual(
      changed.map(({ outcome }) => outcome),
      ['unchanged', 'configured', 'configured', 'unchanged'],
    );
    assert.equal(await visit('/guestbook/ada'), 'visitor ada');
  });

  test('several files are one archive, by their last names', async () => {
    await deploy('words/specs');
    assert.equal(await visit('/fission-function/words'), 'WORDS');
  });

  test('an archive that nobody describes, and one without files', async () => {
    const file = scratch.path('project/words/specs/all.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('archive://words-archive', 'archive://other'));
    const unknown = await petrel.refused(['deploy', scratch.path('project/words/specs')]);
    assert.equal(unknown.code, 'InvalidArgument');
    assert.match(unknown.message, /no archive other/);
    writeFileSync(file, text.replace('words/*', 'nothing/*'));
    const empty = await petrel.refused(['deploy', scratch.path('project/words/specs')]);
    assert.match(empty.why, /matched by nothing\/\*/);
  });

  test('kubectl apply -f', { skip: typeof KUBECTL === 'string' ? KUBECTL : false }, async () => {
    if (typeof KUBECTL === 'string') return;
    const session = new Session(KUBECTL, platform.kubeconfig, scratch.dir);
    const kubectl = (...args: string[]) => session.ok(args);
    const out = await kubectl('apply', '-f', join(SPECS, 'plain'));
    assert.match(out, /function\.fission\.io\/plain created/);
    await kubectl('wait', '--for=condition=Ready', 'functions.fission.io/plain', '--timeout=30s');
    await fission.wait('httptriggers', 'plain', 'Ready');
    const answer = await call(platform.gateway, '/plain/x');
    assert.deepEqual([answer.status, answer.body], [201, 'plain']);
    assert.match(
      await kubectl('apply', '-f', join(SPECS, 'plain')),
      /function\.fission\.io\/plain unchanged/,
    );
    assert.match(await kubectl('get', 'packages'), /plain-pkg +none +plain-node/);
    await kubectl('delete', '-f', join(SPECS, 'plain'));
    await eventually('the route goes', async () => (await call(platform.gateway, '/plain/x')).status === 404);
  });
});
