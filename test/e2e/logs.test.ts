/** Logs of instances that crashed, were restarted, or are gone: what `petrel logs` shows of them, and kubectl's way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Pod } from '../../src/kinds/pod.ts';
import { type KubeClient, orUndefined } from '../../src/kube/client.ts';
import { PODS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, ROOT, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: KubeClient & { close(): void };

before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
  scratch.write({
    'talk.mjs': `export default async (request) => {
      const { pathname } = new URL(request.url);
      console.log('said ' + pathname);
      if (pathname === '/crash') {
        console.error('going down');
        process.exit(3);
      }
      return new Response('ok');
    };`,
  });
  await petrel.deploy(scratch.path('talk.mjs'));
});
after(async () => {
  api.close();
  await petrel.stop();
  scratch.dispose();
});

const say = (word: string) => call(platform.gateway, `/${word}`, { host: 'talk.default.localhost' });
const logs = async (...args: string[]): Promise<string[]> => {
  const { code, stdout, stderr } = await petrel.run(['logs', 'talk', ...args]);
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter(Boolean);
};
/** Without whose they are. */
const words = async (...args: string[]) =>
  (await logs(...args))
    .map((line) => line.replace(/^\[\S+\] /, ''))
    .filter((line) => /^(said|going)/.test(line));
const instances = async () =>
  (await api.list<Pod>(PODS, { namespace: 'default', labelSelector: 'serving.knative.dev/service=talk' }))
    .items;

test('what an instance said before it crashed stands before what the next one says', async () => {
  assert.equal((await say('one')).status, 200);
  assert.equal((await say('crash')).status, 502);
  await eventually('another answers', async () => (await say('two')).status === 200);
  const all = await eventually('all lines are there', async () => {
    const found = await words();
    return found.at(-1) === 'said /two' && found;
  });
  const crash = all.indexOf('going down');
  assert.deepEqual(all.slice(0, crash + 1), ['said /one', 'said /crash', 'going down']);
  assert.deepEqual(await words('--previous'), ['said /one', 'said /crash', 'going down']);
  assert.deepEqual(await words('--tail', '1'), ['said /two']);
});

interface Entry {
  time: string;
  instance: string;
  revision: string;
  gone: boolean;
  line: string;
}
const entries = async (): Promise<Entry[]> =>
  (await logs('-o', 'json')).map((line) => JSON.parse(line) as Entry);

test('an instance that was scaled away or deleted is read as before, with its name', async () => {
  const { instance } = (await entries()).findLast(({ line }) => line === 'said /two')!;
  // A surplus one goes by itself.
  await orUndefined(api.delete(PODS, 'default', instance, { gracePeriodSeconds: 0 }));
  const lines = await eventually('its lines are there', async () => {
    const all = (await entries()).filter((entry) => entry.instance === instance);
    const pods = await instances();
    return pods.every(({ metadata }) => metadata.name !== instance) && all.every(({ gone }) => gone) && all;
  });
  assert.deepEqual(lines.at(-1)?.line, 'said /two');
  assert.deepEqual((await words('--instance', instance)).at(-1), 'said /two');
  await eventually('a further instance answers', async () => (await say('three')).status === 200);
  const all = await eventually('its line is there', async () => {
    const found = await entries();
    return found.some(({ line }) => line === 'said /three') && found;
  });
  const times = all.map(({ time }) => time);
  assert.deepEqual(times, times.toSorted());
  const three = all.find(({ line }) => line === 'said /three');
  assert.equal(three?.revision, 'talk-00001');
  assert.deepEqual(await words('--since', three.time), ['said /three']);
});

test('what was kept outlives the platform', async () => {
  await petrel.run(['down']);
  platform = await petrel.up();
  api.close();
  api = await petrel.api();
  assert.ok((await words()).includes('said /one'));
});

test('following shows what was, what comes, and what comes after a crash, every line once', async () => {
  const child = spawn(join(ROOT, 'petrel'), ['logs', '-f', 'talk'], {
    env: { ...process.env, PETREL_HOME: petrel.home },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const seen = (line: string) => eventually(`"${line}" is printed`, async () => text.includes(line));
    await seen('said /three');
    await eventually('it answers', async () => (await say('four')).status === 200);
    await seen('said /four');
    await say('crash');
    await eventually('it answers again', async () => (await say('five')).status === 200);
    await seen('said /five');
    for (const word of ['one', 'three', 'four'])
      assert.equal(text.split(`said /${word}\n`).length - 1, 1, word);
    assert.equal(text.split('going down\n').length - 1, 2);
  } finally {
    child.kill();
  }
});

test('refused: what is no time, an instance that never was, following what has ended', async () => {
  for (const [args, code] of [
    [['--since', 'yesterday'], 'InvalidArgument'],
    [['--instance', 'nobody'], 'NotFound'],
    [['--previous', '-f'], 'InvalidArgument'],
  ] as const)
    assert.equal((await petrel.refused(['logs', 'talk', ...args])).code, code);
});
